package raftnode_test

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3"

	"etcd/raftnode"
)

// TestLeaderlessIsReportedOnce checks what a partitioned machine reports, and that one that
// has a leader, or finds one, reports nothing.
func TestLeaderlessIsReportedOnce(t *testing.T) {
	c := grown(repeatable(t), 3)
	const election = 10
	cut := c.leader()
	c.isolate(cut)
	c.pass(20 * election)
	for _, s := range c.up() {
		if s != cut && len(s.leaderless) > 0 {
			t.Errorf("%x has a leader and reports %+v", s.id, s.leaderless)
		}
	}
	want := raftnode.Leaderless{Reached: []uint64{cut.id}}
	for _, s := range c.up() {
		if s != cut {
			want.Missing = append(want.Missing, s.id)
		}
	}
	reported := func(times int) {
		t.Helper()
		if len(cut.leaderless) != times {
			t.Fatalf("it was reported %d times, want %d: %+v", len(cut.leaderless), times, cut.leaderless)
		}
		got := cut.leaderless[times-1]
		if !slices.Equal(got.Reached, want.Reached) || !slices.Equal(got.Missing, want.Missing) || got.Majority() != 2 {
			t.Errorf("reported is %+v, %d needed, want %+v and 2", got, got.Majority(), want)
		}
	}
	reported(1)
	c.heal()
	c.pass(5 * election)
	c.isolate(cut)
	c.pass(20 * election)
	reported(2)
}

// TestLeaderWithoutQuorum checks that a leader does not say that it leads for longer than an election
// timeout after it was cut off.
func TestLeaderWithoutQuorum(t *testing.T) {
	c := grown(repeatable(t), 3)
	const election = 10
	cut := c.leader()
	for offset := range election { // from Raft's checks
		c.isolate(cut)
		c.pass(election - 1)
		if s := cut.node.Status(); s.State != raft.StateLeader || s.Leader != cut.id {
			t.Fatalf("it was cut off just now and says %+v", s)
		}
		c.pass(2)
		if s := cut.node.Status(); s.State == raft.StateLeader || s.Leader != 0 {
			t.Fatalf("it was cut off for more than an election timeout and says %+v", s)
		}
		c.heal()
		c.pass(5 * election)
		c.elect(cut)
		c.pass(offset + 1)
	}
}
