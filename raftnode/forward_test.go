package raftnode_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

func forwards(p *packet) bool { return p.forward != nil }

// onTheWay takes the packets of a kind off the network.
func (c *cluster) onTheWay(kind func(p *packet) bool) []*packet {
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

func TestAFollowerIsAnsweredWithTheIndexOfItsEntry(t *testing.T) {
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

// What a machine that does not lead (any more) is given goes back to where it came
// from, and from there to the one that leads.
func TestAProposalForTheWrongLeader(t *testing.T) {
	for _, test := range []struct {
		name string
		// The forward of f, given to the leader, is on the way.
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
			stale := c.onTheWay(forwards)
			test.meanwhile(c, old, f)
			c.heal()
			for _, p := range stale {
				c.deliver(p)
			}
			c.pass(1)
			c.wantDone(before) // once: the harness would see a second time
		})
	}
}

func TestARejectedProposalWaitsForTheNextLeader(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	c.hold = holding(c.followers()[1].id, raftpb.MsgTimeoutNow)
	f2 := c.followers()[1]
	c.isolate(f) // so that it is not the one that is furthest
	old.propose()
	c.settle()
	clear(c.cut)
	if !old.node.Transfer() {
		t.Fatal("there is nobody to lead instead")
	}
	here, there := old.propose(), f.propose()
	c.settle()
	c.wantOpen(here, there)
	if old.leader.Self != true || len(c.onTheWay(holding(f2.id, raftpb.MsgTimeoutNow))) != 1 {
		t.Fatal("the leadership has gone already")
	}
	c.hold = nil
	c.pass(3) // each time it is given to the leader again, which still hands over
	c.wantOpen(here, there)
	c.pass(9) // the leader has given it up
	c.wantDone(here, there)
}

func TestARejectedProposalGoesToTheNextLeaderAtOnce(t *testing.T) {
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

// A leader that is replaced before it has proposed what others have forwarded gives it
// back: they may propose it again by themselves.
func TestAForwardThatIsNotProposedYetGoesBack(t *testing.T) {
	for _, test := range []struct {
		name string
		wait func(c *cluster, f *server) *ticket // leaves a forward of f waiting at the leader
	}{
		{"because the leader hands over", func(c *cluster, f *server) *ticket {
			write := f.propose()
			f.work()
			c.deliver(c.onTheWay(forwards)[0])
			c.leader().node.Transfer()
			return write
		}},
		{"because of another membership change", func(c *cluster, f *server) *ticket {
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
			c.wantDone(ticket) // once: the harness would see a second time
			c.wantSame()
		})
	}
}

func TestAnUndeliveredProposalIsSentAgain(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	write := f.propose()
	c.settle()
	for _, p := range c.onTheWay(forwards) {
		if err := f.node.Undelivered(p.forward); err != nil {
			t.Fatal(err)
		}
	}
	c.hold = nil
	c.settle()
	c.wantOpen(write) // not before the next tick, or it would go round and round
	c.pass(1)
	c.wantDone(write)
}

// Nobody knows whether a lost forward has arrived while the leader stays and there is no
// connection to it.
func TestALostForward(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	write := f.propose()
	c.settle()
	c.onTheWay(forwards)
	c.hold = nil
	c.pass(39)
	c.wantOpen(write)
	c.pass(1)
	c.wantFailed(write, raftnode.ErrUnknownOutcome)
}

func TestALostForwardIsProposedAgainByTheNextLeader(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	write := f.propose()
	c.settle()
	late := c.onTheWay(forwards)
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

// A proposal of a leader that nobody else has got is overwritten, and proposed again.
func TestAnOverwrittenProposalIsProposedAgain(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	forwarded := f.propose()
	f.work()
	c.deliver(c.onTheWay(forwards)[0])
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

// One that is in the log of the next leader is answered by the entry it has already.
func TestAnInheritedProposalIsAnsweredOnce(t *testing.T) {
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

func TestAProposalWithoutALeaderIsKnownNotToHappen(t *testing.T) {
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

// The reason why something is not proposed travels back.
func TestAForwardIsRefusedForWhatItIs(t *testing.T) {
	c := grown(repeatable(t), 3, func(c *raftnode.Config) { c.MaxMembers = 3 })
	f := c.followers()[0]
	tooMany := f.change(raftnode.KindAdd, 9)
	c.settle()
	c.wantFailed(tooMany, raftnode.ErrTooManyMembers)

	c.hold = forwards
	write := f.propose()
	c.settle()
	payload := append([]byte(nil), c.onTheWay(forwards)[0].forward[:8]...)
	// A reason of a newer version says at least that it was not proposed.
	if err := f.node.Rejected(c.leader().id, append(payload, 200)); err != nil {
		t.Fatal(err)
	}
	c.settle()
	c.wantFailed(write, raftnode.ErrOverloaded)
}

func TestALeaderTakesOnlySoManyForwards(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	for range raftnode.MaxWaiting {
		old.node.Propose(nil, nil)
	}
	write := f.propose()
	f.work()
	c.deliver(c.onTheWay(forwards)[0])
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

// A rejected proposal keeps its place among those that are given up, whatever else has
// been put back before.
func TestWhatIsPutBackIsGivenUpInTime(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()[0]
	c.hold = forwards
	first := f.propose()
	c.settle()
	lost := c.onTheWay(forwards)[0]
	c.pass(5)
	second := f.propose()
	c.settle()
	late := c.onTheWay(forwards)[0]
	// When nobody leads, the later one comes back first, then the earlier one.
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

// A change that waits for another one at the leader until it is given up there was not
// proposed. Who has asked for it elsewhere hears so, if the time there is not over yet.
func TestAForwardThatIsGivenUpAtTheLeader(t *testing.T) {
	c := grown(repeatable(t), 3)
	leader, f := c.leader(), c.followers()[0]
	c.hold = holding(leader.id, raftpb.MsgAppResp)
	first := leader.change(raftnode.KindAdd, 8) // it is not committed
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
