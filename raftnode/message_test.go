package raftnode

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Bytes decode to an error, or to a message that survives encoding.
func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, 7))
	f.Add(make([]byte, 8))
	for _, m := range []Message{
		{Message: &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(3))}},
		{Message: &raftpb.Message{Type: raftpb.MsgApp.Enum(), Entries: []*raftpb.Entry{{Data: []byte("x")}}}, Time: 1_700_000_000_000_000_000},
	} {
		b, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeMessage(again); err != nil || got.Time != m.Time || !proto.Equal(got.Message, m.Message) {
			t.Fatalf("%x comes back as %x: %v", b, again, err)
		}
	})
}
