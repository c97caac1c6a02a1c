package raftnode_test

import (
	"testing"

	"etcd/raftnode"
)

func TestTransferToMostUpToDateFollower(t *testing.T) {
	for behind := range 2 {
		c := grown(repeatable(t), 3)
		old, f := c.leader(), c.followers()
		c.isolate(f[behind])
		write := old.propose()
		c.settle()
		c.wantDone(write)
		if !old.node.Transfer() {
			t.Fatal("there is nobody to lead instead")
		}
		c.settle()
		if c.leader() != f[1-behind] {
			t.Errorf("%x leads, want %x", c.leader().id, f[1-behind].id)
		}
		write = old.propose()
		c.settle()
		c.wantDone(write)
	}
}

func TestNoTransferToSilentFollower(t *testing.T) {
	for silent := range 2 {
		c := grown(repeatable(t), 3)
		old, f := c.leader(), c.followers()
		c.isolate(f[silent])
		c.pass(25) // both have all entries
		if !old.leader.Self || !old.node.Transfer() {
			t.Fatal("there is nobody to lead instead")
		}
		c.settle()
		if c.leader() != f[1-silent] {
			t.Errorf("%x leads, want %x", c.leader().id, f[1-silent].id)
		}
	}
}

func TestTransferNotPossible(t *testing.T) {
	c := newCluster(repeatable(t))
	if c.at(1).node.Transfer() {
		t.Error("a machine alone hands over")
	}
	learner := c.joiner()
	c.at(1).change(raftnode.KindAdd, learner.id)
	c.settle()
	learner.start()
	c.pass(1)
	if c.at(1).node.Transfer() {
		t.Error("a learner is to lead")
	}
	c.pass(5) // now it is a voter
	if c.followers()[0].node.Transfer() {
		t.Error("a follower hands over")
	}
}

func TestTransferLosesNoProposal(t *testing.T) {
	c := grown(repeatable(t), 3)
	var all []*ticket
	for range 6 {
		for _, s := range c.up() {
			all = append(all, s.propose(), s.read())
		}
		if !c.leader().node.Transfer() {
			t.Fatal("there is nobody to lead instead")
		}
		c.settle()
		for _, s := range c.up() {
			all = append(all, s.propose(), s.read())
		}
		c.pass(1)
	}
	c.pass(1)
	c.wantDone(all...)
	c.wantSame()
}

func TestLeaderWithStalledDiskTransfers(t *testing.T) {
	c := grown(repeatable(t), 3)
	old := c.leader()
	c.pass(3)
	old.stuck = true
	here, there := old.propose(), c.followers()[0].propose()
	c.pass(9)
	if !old.leader.Self {
		t.Fatal("it does not wait for an election timeout")
	}
	c.wantOpen(here)
	c.pass(2)
	if c.leader() == old {
		t.Fatal("it still leads")
	}
	if old.diskStalled != 1 {
		t.Fatalf("a stalled disk is reported %d times, want 1", old.diskStalled)
	}
	c.wantDone(there)
	write := c.leader().propose()
	c.settle()
	c.wantDone(write)
	c.wantOpen(here) // committed, but cannot be handed out here before it is durable
	old.stuck = false
	c.pass(2)
	c.wantDone(here)
	c.wantSame()
}

func TestLeaderWithSlowDiskKeepsLeading(t *testing.T) {
	c := grown(repeatable(t), 3)
	old := c.leader()
	for range 5 {
		old.stuck = true
		write := old.propose()
		c.pass(8)
		c.wantOpen(write)
		old.stuck = false
		c.settle()
		c.wantDone(write)
		if !old.leader.Self {
			t.Fatal("it has given way")
		}
	}
}
