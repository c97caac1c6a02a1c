package raftnode_test

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// A snapshot is received only from the leader, as far as the machine knows it; one that covers
// nothing new is not stored again.
func TestOffered(t *testing.T) {
	c := grown(repeatable(t), 3)
	leader, f, other := c.leader(), c.followers()[0], c.followers()[1]
	status := f.node.Status()
	offer := func(from, to, term, index uint64, voters ...uint64) (bool, error) {
		return f.node.Offered(&raftpb.Message{
			Type: raftpb.MsgSnap.Enum(), From: &from, To: &to, Term: &term,
			Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
				Index: &index, Term: &status.Term, ConfState: &raftpb.ConfState{Voters: voters},
			}},
		})
	}
	all := status.Voters
	for _, test := range []struct {
		name       string
		from, to   uint64
		term       uint64
		index      uint64
		voters     []uint64
		wanted     bool
		superseded bool
	}{
		{"from the leader", leader.id, f.id, status.Term, 1000, all, true, false},
		{"from the leader, with nothing new", leader.id, f.id, status.Term, status.Commit, all, true, true},
		{"from the next leader", other.id, f.id, status.Term + 1, 1000, all, true, false},
		{"from an unknown leader", 77, f.id, status.Term + 1, 1000, all, true, false},
		{"from a follower", other.id, f.id, status.Term, 1000, all, false, false},
		{"from a former leader", leader.id, f.id, status.Term - 1, 1000, all, false, false},
		{"in an implausible term", leader.id, f.id, status.Term + 1<<40, 1000, all, false, false},
		{"for another machine", leader.id, other.id, status.Term, 1000, all, false, false},
		{"from this machine itself", f.id, f.id, status.Term, 1000, all, false, false},
		{"of a cluster without this machine", leader.id, f.id, status.Term, 1000, []uint64{leader.id, other.id}, false, false},
	} {
		needed, err := offer(test.from, test.to, test.term, test.index, test.voters...)
		if (err == nil) != test.wanted || needed != (test.wanted && !test.superseded) || err != nil && !errors.Is(err, raftnode.ErrBadSnapshot) {
			t.Errorf("%s: needed %t, %v", test.name, needed, err)
		}
	}
}
