package store

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"etcd/store/storepb"
	"etcd/store/tree"
)

// Most commands set a value, and nothing else. Those are encoded and decoded by hand: the bytes are the
// same, at a tenth of the allocations. So are the files of a snapshot decoded, of which a start may
// have to read millions.

const (
	fieldSet      protowire.Number = 1 // of Command
	fieldChecked  protowire.Number = 11
	fieldPath     protowire.Number = 1 // of Set and Node
	fieldValue    protowire.Number = 3
	fieldCreated  protowire.Number = 4 // of Node
	fieldModified protowire.Number = 5
	fieldDeadline protowire.Number = 6
	fieldShared   protowire.Number = 7
)

// EncodeSet returns what Encode returns for a Set of a value, without a time to live or a
// condition.
func EncodeSet(path, value string) []byte {
	if !tree.Clean(path) || !utf8.ValidString(path) {
		panic("store: encode command: the path is not clean")
	}
	tags := protowire.SizeTag(fieldPath) + protowire.SizeTag(fieldValue)
	size := tags + protowire.SizeBytes(len(path)) + protowire.SizeBytes(len(value))
	if value == "" {
		size = protowire.SizeTag(fieldPath) + protowire.SizeBytes(len(path))
	}
	b := make([]byte, 0, protowire.SizeTag(fieldSet)+protowire.SizeBytes(size))
	b = protowire.AppendVarint(protowire.AppendTag(b, fieldSet, protowire.BytesType), uint64(size))
	b = protowire.AppendString(protowire.AppendTag(b, fieldPath, protowire.BytesType), path)
	if value == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, fieldValue, protowire.BytesType), value)
}

// decodeSet decodes into m what EncodeSet has encoded, and the revision that Checked has added.
// Everything else is left to decode: ok is false.
func decodeSet(data []byte, m *storepb.Set) (checked uint64, ok bool) {
	set, rest := field(data, fieldSet)
	checked, rest = varintField(rest, fieldChecked)
	if set == nil || len(rest) > 0 {
		return 0, false
	}
	path, rest := field(set, fieldPath)
	value, rest := field(rest, fieldValue)
	if path == nil || value == nil || len(rest) > 0 || !utf8.Valid(path) {
		return 0, false
	}
	m.Path, m.Value = together(path, value)
	return checked, tree.Clean(m.Path)
}

// together copies a path and a value into one piece of memory. They live as long as each other in the
// tree, whose nodes are most of what the garbage collector has to look at.
func together(path, value []byte) (string, []byte) {
	both := append(append(make([]byte, 0, len(path)+len(value)), path...), value...)
	return storepb.Owned(both[:len(path)]), both[len(path):]
}

// decodePlainNode decodes into m the message of a file as it is in a snapshot. The path and the value are
// not copied. Everything else is left to the library: ok is false.
func decodePlainNode(data []byte, m *storepb.Node) (ok bool) {
	path, rest := field(data, fieldPath)
	value, rest := field(rest, fieldValue)
	created, rest := varintField(rest, fieldCreated)
	modified, rest := varintField(rest, fieldModified)
	deadline, rest := varintField(rest, fieldDeadline)
	shared, rest := varintField(rest, fieldShared)
	if path == nil || value == nil || len(rest) > 0 || shared > math.MaxUint32 || !utf8.Valid(path) {
		return false
	}
	m.Path, m.Value = storepb.Owned(path), value
	m.CreatedIndex, m.ModifiedIndex, m.Deadline, m.SharedPrefix = created, modified, deadline, uint32(shared)
	return true
}

// varintField returns a number that comes first in a message, and what follows it; 0 if another field
// does.
func varintField(message []byte, of protowire.Number) (v uint64, rest []byte) {
	number, kind, n := protowire.ConsumeTag(message)
	if n < 0 || number != of || kind != protowire.VarintType {
		return 0, message
	}
	v, size := protowire.ConsumeVarint(message[n:])
	if size < 0 {
		return 0, message
	}
	return v, message[n+size:]
}

// field returns the bytes of a field that comes first in a message, and what follows it; nil if
// another one does.
func field(message []byte, of protowire.Number) (content, rest []byte) {
	number, kind, n := protowire.ConsumeTag(message)
	if n < 0 || number != of || kind != protowire.BytesType {
		return nil, message
	}
	content, size := protowire.ConsumeBytes(message[n:])
	if size < 0 {
		return nil, message
	}
	return content, message[n+size:]
}
