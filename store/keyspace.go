package store

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"etcd/store/mvcc"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// Keys returns the keyspace of the v3 API. It belongs to the goroutine of the store, and only Free may change it.
func (s *Store) Keys() *mvcc.Keyspace { return s.keys }

// Keys returns the keyspace of the v3 API.
func (v *View) Keys() *mvcc.View { return v.keys }

// Size returns how many bytes count against the quota: of the tree and of the keyspace.
func (s *Store) Size() uint64 { return uint64(s.tree.Totals().Size()) + s.keys.Size() }

// room returns how many bytes the keyspace may have more.
func (s *Store) room() uint64 {
	quota := s.tree.Quota()
	if quota == 0 {
		return math.MaxUint64
	}
	return quota - min(quota, s.Size())
}

// dispatchKV carries out a command about the keyspace; nil: it is about something else.
func (s *Store) dispatchKV(c *storepb.Command, asked bool) *mvcc.Outcome {
	var out mvcc.Outcome
	switch kind := c.Kind.(type) {
	case *storepb.Command_Put:
		out = s.keys.Put(kind.Put, s.room())
	case *storepb.Command_DeleteRange:
		out = s.keys.DeleteRange(kind.DeleteRange)
	case *storepb.Command_Txn:
		out = s.keys.Txn(kind.Txn, s.room(), asked)
	case *storepb.Command_Compact:
		out = s.keys.Compact(kind.Compact.GetRevision())
	default:
		return nil
	}
	return &out
}

// ofKV returns the result of a command about the keyspace.
func (s *Store) ofKV(out *mvcc.Outcome) Result {
	s.tree.Reserve(s.keys.Size())
	result := s.result(tree.Outcome{})
	result.KV = out
	return result
}

var (
	errNoKey = errors.New("no key")
	errNoOp  = errors.New("an operation of no kind")
	errDeep  = errors.New("transactions are nested too deep")
)

// checkKV returns an error unless every part of a command about the keyspace is understood.
func checkKV(c *storepb.Command) error {
	switch kind := c.GetKind().(type) {
	case *storepb.Command_Put:
		return checkPut(kind.Put)
	case *storepb.Command_DeleteRange:
		return checkDeleteRange(kind.DeleteRange)
	case *storepb.Command_Txn:
		return checkTxn(kind.Txn, maxNested)
	case *storepb.Command_Compact:
		return checkUnknown(kind.Compact)
	}
	return errNoKind
}

func checkPut(m *storepb.Put) error {
	if len(m.GetKey()) == 0 {
		return errNoKey
	}
	return checkUnknown(m)
}

func checkDeleteRange(m *storepb.DeleteRange) error {
	if len(m.GetKey()) == 0 {
		return errNoKey
	}
	return checkUnknown(m)
}

// maxNested is how deep transactions may be nested, in each other and in a command: half of what the protobuf library
// decodes, because each is in an operation.
const maxNested = 4500

// checkTxn checks a transaction in which others may be nested to a depth.
func checkTxn(m *storepb.Txn, depth int) error {
	if unknown(m) {
		return errNewer
	}
	if depth == 0 {
		return errDeep
	}
	for _, c := range m.GetCompare() {
		if len(c.GetKey()) == 0 {
			return errNoKey
		}
		if unknown(c) || !isTarget(c.GetTarget()) || storepb.Relation_name[int32(c.GetRelation())] == "" {
			return errNewer
		}
	}
	for _, list := range [][]*storepb.Op{m.GetSuccess(), m.GetFailure()} {
		for _, op := range list {
			if err := checkOp(op, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

func isTarget(t storepb.Target) bool { return storepb.Target_name[int32(t)] != "" }

func checkOp(op *storepb.Op, depth int) error {
	if unknown(op) {
		return errNewer
	}
	switch kind := op.GetKind().(type) {
	case *storepb.Op_Put:
		return checkPut(kind.Put)
	case *storepb.Op_DeleteRange:
		return checkDeleteRange(kind.DeleteRange)
	case *storepb.Op_Txn:
		return checkTxn(kind.Txn, depth)
	case *storepb.Op_Range:
		if len(kind.Range.GetKey()) == 0 {
			return errNoKey
		}
		if unknown(kind.Range) || !isTarget(kind.Range.GetOrder()) {
			return errNewer
		}
		return nil
	}
	return errNoOp
}

// Numbers of fields, see [EncodeSet].
const (
	fieldPut      protowire.Number = 15 // of Command
	fieldKey      protowire.Number = 1  // of Put
	fieldPutValue protowire.Number = 2
)

// EncodePut returns what Encode returns for a Put of a value and nothing else. The key must not be empty.
func EncodePut(key, value []byte) []byte {
	if len(key) == 0 {
		panic("store: encode command: no key")
	}
	size := protowire.SizeTag(fieldKey) + protowire.SizeBytes(len(key))
	if len(value) > 0 {
		size += protowire.SizeTag(fieldPutValue) + protowire.SizeBytes(len(value))
	}
	b := make([]byte, 0, protowire.SizeTag(fieldPut)+protowire.SizeBytes(size))
	b = protowire.AppendVarint(protowire.AppendTag(b, fieldPut, protowire.BytesType), uint64(size))
	b = protowire.AppendBytes(protowire.AppendTag(b, fieldKey, protowire.BytesType), key)
	if len(value) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, fieldPutValue, protowire.BytesType), value)
	}
	return b
}

// decodePut decodes into m what EncodePut has encoded. The key is not copied. Everything else is left to decode:
// ok is false.
func decodePut(data []byte, m *storepb.Put) (ok bool) {
	put, rest := field(data, fieldPut)
	if put == nil || len(rest) > 0 {
		return false
	}
	key, rest := field(put, fieldKey)
	value, rest := field(rest, fieldPutValue)
	if len(key) == 0 || len(rest) > 0 {
		return false
	}
	m.Key, m.Value = key, append(make([]byte, 0, len(value)), value...) // the entry has more than the value
	return true
}
