package raftnode_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

func forwards(p *packet) bool { return p.forward != nil }

// takeInFlight removes the packets of a kind in flight from the network and returns them.
func (c *cluster) takeInFlight(kind func(p *packet) bool) []*packet {
	c.t.Helper()
	var taken []*packet
	for i := 0; i < len(c.net); {
		if kind(c.net[i]) {
			taken = append(taken, c.take(i))
			continue
		}
		i++
	}
	if len(taken) == 0 {
		c.t.Fatalf("nothing of the kind is on the way")
	}
	return taken
}

func TestForwardIsAnsweredWithIndex(t *testing.T) {
	c := grown(repeatable(t), 3)
	var all []*ticket
	for range 3 {
		for _, s := range c.up() {
			all = append(all, s.propose(), s.propose())
		}
		c.settle()
	}
	c.wantDone(all...)
	c.wantSame()
}

// A forward to a machine that does not lead, or no longer, is rejected, and its origin
// forwards it to the leader.
func TestForwardToWrongLeader(t *testing.T) {
	for _, test := range []struct {
		name string
		// The forward of f to the leader is in flight.
		meanwhile func(c *cluster, old, f *server)
	}{
		{"that has been replaced", func(c *cluster, old, f *server) { c.elect(f) }},
		{"that leads in a later term", func(c *cluster, old, f *server) {
			c.elect(c.followers()[1])
			c.elect(old)
		}},
		{"that has been started again", func(c *cluster, old, f *server) {
			old.crash(len(old.wal))
			old.start()
			c.elect(f)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), 3)
			old, f := c.leader(), c.followers()[0]
			c.hold = forwards
			before := f.propose()
			c.settle()
			stale := c.takeInFlight(forwards)
			test.meanwhile(c, old, f)
			c.heal()
			for _, p := range stale {
				c.deliver(p)
			}
			c.pass(1)
			c.wantDone(before) // done once: the harness would see a second time
		})
	}
}

func TestRejectedProposalWaitsForNextLeader(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	c.hold = holding(c.followers()[1].id, raftpb.MsgTimeoutNow)
	f2 := c.followers()[1]
	c.isolate(f) // so that it is not the most up-to-date follower
	old.propose()
	c.settle()
	clear(c.cut)
	if !old.node.Transfer() {
		t.Fatal("no follower can take over")
	}
	here, there := old.propose(), f.propose()
	c.settle()
	c.wantOpen(here, there)
	if old.leader.Self != true || len(c.takeInFlight(holding(f2.id, raftpb.MsgTimeoutNow))) != 1 {
		t.Fatal("the transfer is over already")
	}
	c.hold = nil
	c.pass(3) // each time it is forwarded to the leader again, which is still handing over
	c.wantOpen(here, there)
	c.pass(9) // the leader has aborted the transfer
	c.wantDone(here, there)
}

func TestRejectedProposalGoesToNextLeaderAtOnce(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	timeoutNow := func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgTimeoutNow }
	c.hold = timeoutNow
	old.node.Transfer()
	c.settle()
	write := f.propose()
	c.settle()
	c.wantOpen(write)
	c.hold = nil
	c.settle()
	if c.leader() == old {
		t.Fatal("it still leads")
	}
	c.wantDone(write)
}

// A leader that is replaced before it has proposed a forward rejects it, so that its origin
// may retry.
func TestQueuedForwardIsRejected(t *testing.T) {
	for _, test := range []struct {
		name string
		wait func(c *cluster, f *server) *ticket // leaves a forward of f queued at the leader
	}{
		{"because of a leadership transfer", func(c *cluster, f *server) *ticket {
			write := f.propose()
			f.work()
			c.deliver(c.takeInFlight(forwards)[0])
			c.leader().node.Transfer()
			return write
		}},
		{"because of another conf change", func(c *cluster, f *server) *ticket {
			old := c.leader()
			c.hold = func(p *packet) bool {
				return p.to == old.id && p.message != nil && p.message.GetType() == raftpb.MsgAppResp
			}
			old.change(raftnode.KindAdd, 8)
			c.settle()
			change := f.change(raftnode.KindAdd, 9)
			c.settle()
			c.wantOpen(change)
			c.elect(c.followers()[1])
			return change
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), 3)
			old := c.leader()
			ticket := test.wait(c, c.followers()[0])
			c.pass(2)
			if c.leader() == old {
				t.Fatal("it still leads")
			}
			c.wantDone(ticket) // done once: the harness would see a second time
			c.wantSame()
		})
	}
}

func TestUndeliveredForwardIsResent(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	write := f.propose()
	c.settle()
	for _, p := range c.takeInFlight(forwards) {
		if err := f.node.Undelivered(p.forward); err != nil {
			t.Fatal(err)
		}
	}
	c.hold = nil
	c.settle()
	c.wantOpen(write) // retried at the next tick only, or it would loop
	c.pass(1)
	c.wantDone(write)
}

// While the leader stays and there is no stream to it, it is unknown whether a lost forward
// has arrived.
func TestLostForwardTimesOut(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	write := f.propose()
	c.settle()
	c.takeInFlight(forwards)
	c.hold = nil
	c.pass(39)
	c.wantOpen(write)
	c.pass(1)
	c.wantFailed(write, raftnode.ErrUnknownOutcome)
}

func TestNextLeaderProposesLostForward(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	write := f.propose()
	c.settle()
	late := c.takeInFlight(forwards)
	c.hold = nil
	old := c.leader()
	c.elect(c.followers()[1])
	c.settle()
	c.wantDone(write)
	c.elect(old)
	for _, p := range late {
		c.deliver(p)
	}
	c.pass(2)
	c.wantSame()
}

// A leader's proposal that reached no other machine is overwritten, and proposed again.
func TestOverwrittenProposalIsRetried(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	forwarded := f.propose()
	f.work()
	c.deliver(c.takeInFlight(forwards)[0])
	c.isolate(old)
	local := old.propose()
	c.settle()
	c.wantOpen(local, forwarded)
	c.elect(f)
	c.wantDone(forwarded)
	c.heal()
	c.pass(2)
	c.wantDone(local)
	c.wantSame()
}

// A proposal that is in the log of the next leader is answered with that entry.
func TestInheritedProposalIsAnsweredOnce(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	c.hold = func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgAppResp }
	local, forwarded := old.propose(), f.propose()
	c.settle()
	c.wantOpen(local, forwarded)
	c.hold, c.net = nil, nil
	c.isolate(old)
	c.elect(f)
	c.wantDone(forwarded)
	entry := c.where[local.command]
	if entry == 0 {
		t.Fatal("the next leader does not have what the first one has sent")
	}
	c.heal()
	c.pass(2)
	c.wantDone(local)
	c.wantSame()
}

func TestTimedOutProposalIsNeverProposed(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.isolate(f)
	c.pass(25)
	write := f.propose()
	c.pass(39)
	c.wantOpen(write)
	c.pass(1)
	c.wantFailed(write, raftnode.ErrNoLeader)
}

// The reason for a rejection is returned to the origin.
func TestRejectionReasons(t *testing.T) {
	c := grown(repeatable(t), 3, func(c *raftnode.Config) { c.MaxMembers = 3 })
	f := c.followers()[0]
	tooMany := f.change(raftnode.KindAdd, 9)
	c.settle()
	c.wantFailed(tooMany, raftnode.ErrTooManyMembers)

	c.hold = forwards
	write := f.propose()
	c.settle()
	payload := append([]byte(nil), c.takeInFlight(forwards)[0].forward[:8]...)
	// An unknown reason, of a newer version, still means that it was not proposed.
	if err := f.node.Rejected(c.leader().id, append(payload, 200)); err != nil {
		t.Fatal(err)
	}
	c.settle()
	c.wantFailed(write, raftnode.ErrOverloaded)
}

func TestLeaderBoundsForwards(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	for range raftnode.MaxWaiting {
		old.node.Propose(nil, nil)
	}
	write := f.propose()
	f.work()
	c.deliver(c.takeInFlight(forwards)[0])
	w, _ := old.node.Work(old.reading())
	if len(w.Rejects) != 1 || w.Rejects[0].To != f.id {
		t.Fatalf("got %v", w.Rejects)
	}
	if err := f.node.Rejected(old.id, w.Rejects[0].Payload); err != nil {
		t.Fatal(err)
	}
	f.work()
	c.wantFailed(write, raftnode.ErrOverloaded)
}

// A rejected proposal times out in its turn, whatever else was queued again before it.
func TestRejectedProposalKeepsItsDeadline(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	c.hold = forwards
	first := f.propose()
	c.settle()
	lost := c.takeInFlight(forwards)[0]
	c.pass(5)
	second := f.propose()
	c.settle()
	late := c.takeInFlight(forwards)[0]
	// While there is no leader, the later one comes back undelivered first, then the earlier one.
	c.isolate(old)
	c.isolate(f)
	c.pass(25)
	for _, p := range []*packet{late, lost} {
		if err := f.node.Undelivered(p.forward); err != nil {
			t.Fatal(err)
		}
	}
	f.tick(9)
	f.work()
	c.wantOpen(first, second)
	f.tick(1)
	f.work() // checks that nothing is late
	c.wantFailed(first, raftnode.ErrNoLeader)
	c.wantOpen(second)
}

// A conf change that waits for another one at the leader until it times out there was not
// proposed. Its origin is told so, if it has not timed out itself.
func TestForwardTimesOutAtLeader(t *testing.T) {
	c := grown(repeatable(t), 3)
	leader, f := c.leader(), c.followers()[0]
	c.hold = holding(leader.id, raftpb.MsgAppResp)
	first := leader.change(raftnode.KindAdd, 8) // stays uncommitted
	c.settle()
	second := f.change(raftnode.KindAdd, 9)
	c.settle()
	c.wantOpen(first, second)
	leader.tick(leader.cfg.RequestTicks - 1)
	leader.work()
	c.wantOpen(first, second)
	leader.tick(1)
	c.settle()
	c.wantFailed(second, raftnode.ErrNoLeader)
	c.heal()
	c.pass(5) // checks that it is not proposed
	c.wantNothingHeld()
}
