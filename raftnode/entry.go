package raftnode

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Every proposal is wrapped before it enters the log:
//
//	offset  size  field
//	0       1     envelope version, 1
//	1       8     proposal ID, little-endian
//	9       8     when the leader took it into its log, nanoseconds since 1970 UTC, little-endian
//	17      ...   the command, opaque to this package
//
// The ID leads the answer back to whoever waits for it on the proposing machine.
// The time is the only way in which time reaches the state machine, so that every
// machine computes the same deadlines.
const (
	envelopeVersion = 1
	envelopeSize    = 17
)

func encodeEntry(id, now uint64, command []byte) []byte {
	b := make([]byte, envelopeSize+len(command))
	b[0] = envelopeVersion
	binary.LittleEndian.PutUint64(b[1:], id)
	binary.LittleEndian.PutUint64(b[9:], now)
	copy(b[envelopeSize:], command)
	return b
}

// timeOf is the time in an entry of the log, 0 if it carries no command.
func timeOf(e *raftpb.Entry) uint64 {
	envelope := e.GetData()
	if e.GetType() == raftpb.EntryConfChange {
		change := &raftpb.ConfChange{}
		if proto.Unmarshal(envelope, change) != nil {
			return 0 // whoever applies it says so
		}
		envelope = change.GetContext()
	}
	_, now, _, _ := decodeEntry(envelope)
	return now
}

// Decode returns the commands of entries in the form in which they are handed out when they
// are committed, without tokens.
func Decode(entries []*raftpb.Entry) ([]Entry, error) {
	var decoded []Entry
	for _, e := range entries {
		envelope := e.GetData()
		if e.GetType() == raftpb.EntryConfChange {
			change := &raftpb.ConfChange{}
			if err := proto.Unmarshal(envelope, change); err != nil {
				return nil, fmt.Errorf("raftnode: entry %d: membership change: %w", e.GetIndex(), err)
			}
			envelope = change.GetContext()
		}
		if len(envelope) == 0 {
			continue
		}
		_, now, command, err := decodeEntry(envelope)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		decoded = append(decoded, Entry{Index: e.GetIndex(), Now: now, Command: command})
	}
	return decoded, nil
}

func decodeEntry(b []byte) (id, now uint64, command []byte, err error) {
	if len(b) < envelopeSize {
		return 0, 0, nil, fmt.Errorf("raftnode: an entry of %d bytes is shorter than its envelope", len(b))
	}
	if b[0] != envelopeVersion {
		return 0, 0, nil, fmt.Errorf("raftnode: entry envelope version %d is unknown to this program, which knows %d: start the version that wrote it, or a newer one", b[0], envelopeVersion)
	}
	return binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:]), b[envelopeSize:], nil
}
