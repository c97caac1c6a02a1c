package raftnode_test

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// The commit index in a heartbeat is at most what the machine has acknowledged in this term.
// A machine that lacks it has lost entries: it must neither go on nor panic.
func TestHeartbeatShowsLostEntries(t *testing.T) {
	const leader = 9
	entry := func(index uint64) *raftpb.Entry {
		return &raftpb.Entry{Index: new(index), Term: new(uint64(2))}
	}
	for _, c := range []struct {
		name         string
		term, commit uint64
		lost         bool
	}{
		{"end of the log", 2, 6, false},
		{"beyond the log", 2, 7, true},
		{"beyond the log, in a later term", 3, 7, true},
		{"beyond the log, in an earlier term", 1, 7, false},
	} {
		node, err := raftnode.New(testConfig(), raftnode.State{
			HardState: &raftpb.HardState{Term: new(uint64(2)), Vote: new(uint64(leader)), Commit: new(uint64(4))},
			Snapshot: &raftpb.SnapshotMetadata{
				Index: new(uint64(4)), Term: new(uint64(2)), ConfState: &raftpb.ConfState{Voters: []uint64{self, leader}},
			},
			Entries: []*raftpb.Entry{entry(5), entry(6)},
		}, raftnode.Reading{})
		if err != nil {
			t.Fatal(err)
		}
		err = node.Step(raftnode.Message{Message: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(leader)), To: new(uint64(self)), Term: new(c.term), Commit: new(c.commit),
		}}, raftnode.Reading{})
		if errors.Is(err, raftnode.ErrLost) != c.lost || !c.lost && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
