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
// The ID routes the result back to the caller that waits for it on the proposing machine.
// The time is the only way in which time reaches the state machine, so that every
// machine computes the same deadlines.
const (
	envelopeVersion = 1
	envelopeSize    = 17
)

func encodeEntry(id, now uint64, command []byte) []byte {
	return appendEnvelope(make([]byte, 0, envelopeSize+len(command)), id, now, command)
}

func appendEnvelope(to []byte, id, now uint64, command []byte) []byte {
	to = append(to, envelopeVersion)
	to = binary.LittleEndian.AppendUint64(to, id)
	to = binary.LittleEndian.AppendUint64(to, now)
	return append(to, command...)
}

// content is what an entry of the log carries.
type content struct {
	change  *raftpb.ConfChange // nil: it does not change the membership
	id, now uint64             // 0 without a command
	command []byte             // nil: none
}

// decodeContent returns what an entry carries. The error says why it cannot be applied by this
// program, whatever the command is.
func decodeContent(e *raftpb.Entry) (c content, err error) {
	envelope := e.GetData()
	switch e.GetType() {
	case raftpb.EntryNormal:
	case raftpb.EntryConfChange:
		c.change = &raftpb.ConfChange{}
		if err := proto.Unmarshal(envelope, c.change); err != nil {
			return content{}, fmt.Errorf("conf change: %w", err)
		}
		switch c.change.GetType() {
		case raftpb.ConfChangeAddNode, raftpb.ConfChangeRemoveNode, raftpb.ConfChangeUpdateNode, raftpb.ConfChangeAddLearnerNode:
		default:
			return content{}, fmt.Errorf("unknown conf change type %d", c.change.GetType())
		}
		envelope = c.change.GetContext()
	default:
		return content{}, fmt.Errorf("unknown entry type %d: it needs a newer version of this program", e.GetType())
	}
	if len(envelope) == 0 {
		return c, nil // the entry with which a leader starts its term, or a change without a command
	}
	c.id, c.now, c.command, err = decodeEntry(envelope)
	return c, err
}

// timeOf returns the time in an entry of the log, 0 if it carries no command.
func timeOf(e *raftpb.Entry) uint64 {
	c, _ := decodeContent(e) // applying it reports what is wrong
	return c.now
}

func decodeEntry(b []byte) (id, now uint64, command []byte, err error) {
	if len(b) < envelopeSize {
		return 0, 0, nil, fmt.Errorf("entry of %d bytes is shorter than its envelope", len(b))
	}
	if b[0] != envelopeVersion {
		return 0, 0, nil, fmt.Errorf("entry envelope version %d is unknown to this program, which knows %d: start the version that wrote it, or a newer one", b[0], envelopeVersion)
	}
	return binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:]), b[envelopeSize:], nil
}
