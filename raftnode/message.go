package raftnode

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Message is a Raft message to another machine.
type Message struct {
	*raftpb.Message
	// Time is that of the log when the message was sent, 0 if the sender does not know it.
	Time uint64
	// Unproven says that the sender may not be the member that it claims to be. Its entries are
	// then checked. It is not encoded.
	Unproven bool
	// SnapshotSize is the size of the snapshot that the message is about, in bytes. It is not
	// encoded.
	SnapshotSize uint64
}

// Encode returns the message as it is sent: time 8, little-endian | the message in protobuf.
func (m Message) Encode() ([]byte, error) {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+proto.Size(m.Message)), m.Time)
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m.Message)
}

// DecodeMessage reads what Encode has returned.
func DecodeMessage(b []byte) (Message, error) {
	if len(b) < 8 {
		return Message{}, fmt.Errorf("raftnode: a message of %d bytes is none", len(b))
	}
	m := Message{Message: new(raftpb.Message), Time: binary.LittleEndian.Uint64(b)}
	return m, proto.Unmarshal(b[8:], m.Message)
}
