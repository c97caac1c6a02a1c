package raftnode

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Message is a Raft message to another machine.
type Message struct {
	*raftpb.Message
	// Time is that of the log when the message was sent, 0 if the sender does not know it.
	Time uint64
	// TimeTerm is the term of the leader whose time that is, 0 if the sender does not say.
	TimeTerm uint64
	// Unproven says that the sender may not be the member that it claims to be. Its entries are
	// then checked. It is not encoded.
	Unproven bool
	// SnapshotSize is the size of the snapshot that the message is about, in bytes. It is not
	// encoded.
	SnapshotSize uint64
}

// timeTerm is a field of a message on the wire that raftpb does not have: TimeTerm, a varint.
// Programs that do not know it skip it, as protobuf has it. It is the first, so that what
// follows is a [raftpb.Message].
const timeTerm protowire.Number = 1000

// Encode returns the message as it is sent: time 8, little-endian | the message in protobuf,
// with the term of the time as another field.
func (m Message) Encode() ([]byte, error) {
	b := make([]byte, 0, 8+protowire.SizeTag(timeTerm)+protowire.SizeVarint(m.TimeTerm)+proto.Size(m.Message))
	b = binary.LittleEndian.AppendUint64(b, m.Time)
	if m.TimeTerm != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, timeTerm, protowire.VarintType), m.TimeTerm)
	}
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m.Message)
}

// DecodeMessage reads what Encode has returned.
func DecodeMessage(b []byte) (Message, error) {
	if len(b) < 8 {
		return Message{}, fmt.Errorf("raftnode: a message of %d bytes is none", len(b))
	}
	m := Message{Message: new(raftpb.Message), Time: binary.LittleEndian.Uint64(b)}
	b = b[8:]
	if field, kind, n := protowire.ConsumeTag(b); n > 0 && field == timeTerm && kind == protowire.VarintType {
		term, size := protowire.ConsumeVarint(b[n:])
		if size < 0 {
			return Message{}, fmt.Errorf("raftnode: term of the time of a message: %w", protowire.ParseError(size))
		}
		m.TimeTerm, b = term, b[n+size:]
	}
	return m, proto.Unmarshal(b, m.Message)
}
