package raftnode_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

func often(c *raftnode.Config) { c.SnapshotEntries, c.SnapshotBytes = 4, 1<<20 }

func snapshots(p *packet) bool {
	return p.message != nil && p.message.GetType() == raftpb.MsgSnap
}

// leaveBehind writes so much while f is isolated that it needs a snapshot.
func (c *cluster) leaveBehind(f *server) {
	c.t.Helper()
	c.isolate(f)
	for range 12 {
		write := c.leader().propose()
		c.settle()
		c.wantDone(write)
	}
}

func TestLaggingFollowerGetsSnapshot(t *testing.T) {
	c := grown(repeatable(t), 3, often)
	f := c.followers()[0]
	installs := f.installs
	c.leaveBehind(f)
	c.heal()
	c.pass(3)
	if f.installs != installs+1 {
		t.Fatalf("%d snapshots were installed", f.installs-installs)
	}
	c.wantSame()
	write, read := f.propose(), f.read()
	c.settle()
	c.wantDone(write, read)
	f.crash(len(f.wal))
	f.start()
	write = f.propose()
	c.pass(2)
	c.wantDone(write)
	c.wantSame()
	c.elect(f)
	write = f.propose()
	c.settle()
	c.wantDone(write)
}

func TestLostSnapshotIsResent(t *testing.T) {
	for _, test := range []struct {
		name string
		how  func(c *cluster, f *server)
	}{
		{"message lost", func(c *cluster, f *server) { c.lose(c.takeInFlight(snapshots)[0]) }},
		{"crash before it is durable", func(c *cluster, f *server) {
			f.stuck = true
			c.deliver(c.takeInFlight(snapshots)[0])
			f.work()
			f.crash(0)
			f.stuck = false
			f.start()
		}},
		{"crash before it is installed", func(c *cluster, f *server) {
			f.stuck = true
			c.deliver(c.takeInFlight(snapshots)[0])
			f.work()
			f.crash(len(f.wal))
			f.stuck = false
			f.start()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), 3, often)
			f := c.followers()[0]
			c.leaveBehind(f)
			c.heal()
			c.hold = snapshots
			c.pass(3)
			test.how(c, f)
			c.hold = nil
			c.pass(15)
			c.wantSame()
		})
	}
}

// However long a snapshot takes to send and however much is written meanwhile: the entries
// that follow it are kept for its receiver, so that one snapshot is enough.
func TestSlowSnapshotIsEnough(t *testing.T) {
	c := grown(repeatable(t), 3, often)
	f := c.followers()[0]
	installs := f.installs
	c.leaveBehind(f)
	c.heal()
	c.hold = snapshots
	c.pass(3)
	for range 30 {
		write := c.leader().propose()
		c.pass(1)
		c.wantDone(write)
	}
	c.hold = nil
	c.pass(15)
	c.wantSame()
	if f.installs != installs+1 {
		t.Errorf("%d snapshots were installed, want 1", f.installs-installs)
	}
	// Once all followers have caught up, what was kept for one of them is dropped.
	for range 12 {
		write := c.leader().propose()
		c.pass(1)
		c.wantDone(write)
	}
	if l := c.leader(); l.node.First()+12 < l.node.Status().Applied {
		t.Errorf("the log begins at %d, applied is %d", l.node.First(), l.node.Status().Applied)
	}
}

// A leader forgets the snapshots it has sent to a member when the member is removed.
func TestSnapshotsToRemovedMembersAreForgotten(t *testing.T) {
	for _, arrivesAfter := range []bool{false, true} {
		c := grown(repeatable(t), 3, often)
		l, f := c.leader(), c.followers()[0]
		c.leaveBehind(f)
		c.heal()
		c.hold = snapshots
		c.pass(3)
		p := c.takeInFlight(snapshots)[0]
		if !arrivesAfter {
			f.stuck = true // so that it does not catch up
			c.deliver(p)
			if l.node.CatchingUp() != 1 {
				t.Fatal("nothing is noted about the one that was sent a snapshot")
			}
		}
		gone := l.change(raftnode.KindRemove, f.id)
		c.settle()
		c.wantDone(gone)
		if arrivesAfter {
			l.node.SnapshotSent(f.id, true)
		}
		if l.node.CatchingUp() != 0 {
			t.Errorf("it is still noted that a snapshot was sent to one that was removed; it arrived after that: %t", arrivesAfter)
		}
	}
}

// Whether a proposal is covered by a snapshot is unknown: it is not proposed again, not even
// to a new leader.
func TestProposalMaybeInSnapshotIsNotRetried(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		c := grown(repeatable(t), 3, often)
		f, other := c.followers()[0], c.followers()[1]
		c.hold = forwards
		write := f.propose()
		c.settle()
		p := c.takeInFlight(forwards)[0]
		c.hold = nil
		if arrives {
			c.deliver(p)
		}
		c.leaveBehind(f)
		if done := c.where[write.command] != 0; done != arrives {
			t.Fatalf("it is in the log: %t", done)
		}
		if !c.leader().node.Transfer() {
			t.Fatal("there is nobody to lead instead")
		}
		c.settle()
		if c.leader() != other {
			t.Fatalf("%x leads", c.leader().id)
		}
		c.heal()
		c.pass(3)
		c.wantSame()
		c.wantOpen(write)
		c.elect(f) // a new term, whose first entry f applies
		c.wantOpen(write)
		later := f.propose()
		c.pass(37)
		c.wantFailed(write, raftnode.ErrUnknownOutcome)
		c.wantDone(later)
	}
}

// Entries that were handed out before a snapshot arrives are reported as applied after it, and
// so is the machine's own snapshot as durable.
func TestSnapshotOvertakesWorkInFlight(t *testing.T) {
	c := grown(repeatable(t), 3, often)
	f := c.followers()[0]
	f.lazy = true
	for f.snapshot == nil {
		c.leader().propose()
		c.settle()
	}
	c.leader().propose()
	c.hold = func(p *packet) bool { return p.to != f.id && p.from != f.id }
	for len(f.store) == 0 {
		for _, s := range c.up() {
			s.work()
			s.sync(len(s.wal))
			if s != f {
				s.apply(len(s.store))
			}
		}
		for len(c.net) > 0 {
			c.deliver(c.take(0))
		}
	}
	under := f.store
	f.store = nil // so that settle does not report them
	c.hold = nil
	c.leaveBehind(f)
	installs := f.installs
	c.heal()
	c.pass(3)
	if f.installs == installs {
		t.Fatal("no snapshot was installed")
	}
	applied := f.node.Status().Applied
	for _, a := range under {
		if err := f.node.Applied(a); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.node.Status().Applied; got < applied {
		t.Fatalf("what is applied goes back from %d to %d", applied, got)
	}
	if f.maySnapshot() {
		f.saveSnapshot()
	}
	write := f.propose()
	c.pass(1)
	c.wantDone(write)
	c.wantSame()
}
