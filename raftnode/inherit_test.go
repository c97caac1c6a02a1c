package raftnode_test

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// A machine has an entry that its leader lacks and has not truncated yet. When the machine is
// elected itself that entry stays, and the entries after it must not have an earlier time.
func TestTheTimeOfInheritedEntries(t *testing.T) {
	const later = uint64(epoch + time.Hour)
	stamped := binary.LittleEndian.AppendUint64([]byte{1, 9, 0, 0, 0, 0, 0, 0, 0}, later)
	node, err := raftnode.New(raftnode.Config{
		MemberID: 2, ElectionTicks: 10, HeartbeatTicks: 1, RequestTicks: 200, MaxMembers: 9, MaxCommand: maxCommand, Log: slog.New(slog.DiscardHandler),
	}, raftnode.State{
		HardState: &raftpb.HardState{Term: new(uint64(3)), Vote: new(uint64(0)), Commit: new(uint64(1))},
		Snapshot: &raftpb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}},
		},
		Entries: []*raftpb.Entry{{Index: new(uint64(2)), Term: new(uint64(3)), Data: append(stamped, "command"...)}},
	}, raftnode.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	step := func(from, term uint64, kind raftpb.MessageType) {
		t.Helper()
		m := &raftpb.Message{Type: kind.Enum(), From: new(from), To: new(uint64(2)), Term: new(term)}
		if err := node.Step(raftnode.Message{Message: m, Time: epoch}, raftnode.Reading{}); err != nil {
			t.Fatal(err)
		}
	}
	step(1, 4, raftpb.MsgHeartbeat) // machine 1 leads
	for {
		w, ok := node.Work(raftnode.Reading{})
		if !ok {
			break
		}
		if w.Append != nil {
			if err := node.Appended(w.Append); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(1, 4, raftpb.MsgHeartbeat) // with the time of the log
	for range 100 {
		node.Tick()
		for {
			w, ok := node.Work(raftnode.Reading{})
			if !ok {
				break
			}
			for _, m := range w.Messages {
				switch m.GetType() {
				case raftpb.MsgPreVote:
					step(3, m.GetTerm(), raftpb.MsgPreVoteResp)
				case raftpb.MsgVote:
					step(3, m.GetTerm(), raftpb.MsgVoteResp)
				}
			}
			if w.Append == nil {
				continue
			}
			if err := node.Appended(w.Append); err != nil {
				t.Fatal(err)
			}
			for _, e := range w.Append.Entries {
				if len(e.GetData()) == 0 {
					node.Propose([]byte("of the new leader"), nil)
					continue
				}
				if at := binary.LittleEndian.Uint64(e.GetData()[9:]); at < later {
					t.Errorf("entry %d is of %v, the one before it of %v", e.GetIndex(), at, later)
				}
				return
			}
		}
	}
	t.Fatal("it was not elected, or proposed nothing")
}
