package raftnode_test

import (
	"testing"
	"testing/cryptotest"

	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"etcd/raftnode"
)

func rejects(p *packet) bool { return p.reject != nil }

func proposals(p *packet) bool { return p.forward != nil || p.reject != nil }

// A lost forward is sent again as soon as there is a new stream to the same leader: its
// client need not wait for a timeout.
func TestLostForwardIsResent(t *testing.T) {
	c := grown(repeatable(t), 3)
	f, leader := c.followers()[0], c.leader()
	c.hold = forwards
	var all []*ticket
	for range 5 {
		all = append(all, f.propose())
		c.settle()
	}
	way := c.takeInFlight(forwards)
	c.hold = nil
	c.deliver(way[0]) // the others are lost
	c.settle()
	c.wantDone(all[0])
	c.pass(3)
	c.wantOpen(all[1:]...)
	before := f.ticks
	f.node.Reconnected(leader.id)
	c.settle()
	c.wantDone(all...)
	if f.ticks != before {
		t.Fatalf("it takes %d ticks", f.ticks-before)
	}
	for i := 1; i < len(all); i++ {
		if c.where[all[i].command] < c.where[all[i-1].command] {
			t.Fatalf("%q comes before %q", all[i].command, all[i-1].command)
		}
	}
}

// A forward that had arrived is not proposed again, whatever its outcome: the harness would
// see it twice.
func TestDuplicateForwardIsProposedOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		hold func(p *packet) bool
	}{
		{"before it is committed", func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgAppResp }},
		{"before its origin knows that it is committed", func(p *packet) bool { return p.message != nil && p.to == 2 }},
	} {
		c := grown(repeatable(t), 3)
		f, leader := c.at(2), c.leader()
		c.hold = test.hold
		write := f.propose()
		c.settle()
		c.wantOpen(write)
		for range 3 {
			f.node.Reconnected(leader.id)
			c.settle()
		}
		later := f.propose()
		c.settle()
		c.hold = nil
		c.settle()
		c.wantDone(write, later)
	}
}

// Rejections are sent again as well: a leader remembers them, and repeats its answer to a
// forward that is sent again.
func TestLostRejectionIsResent(t *testing.T) {
	for name, reconnect := range map[string]func(f, leader *server){
		"by a new connection of the leader": func(f, leader *server) { leader.node.Reconnected(f.id) },
		"by one of the follower":            func(f, leader *server) { f.node.Reconnected(leader.id) },
	} {
		t.Run(name, func(t *testing.T) {
			c := grown(repeatable(t), 3)
			f, leader := c.followers()[0], c.leader()
			c.hold = rejects
			taken, stranger := f.changeAs(raftnode.KindAdd, 9, "m1 p9 c9"), f.change(raftnode.KindRemove, 9)
			c.settle()
			c.takeInFlight(rejects)
			c.hold = nil
			write := f.propose()
			c.settle()
			c.wantDone(write)
			c.wantOpen(taken, stranger)
			// Meanwhile the name has become free, which does not change the answer.
			leader.changeAs(raftnode.KindAdd, 1, "new p1 c1")
			c.settle()
			reconnect(f, leader)
			c.settle()
			c.wantTaken(taken, 1, raftnode.ErrNameTaken)
			c.wantFailed(stranger, raftnode.ErrUnknownMember)
		})
	}
}

// A leader that was replaced cannot know the outcome of an earlier copy: that one is in the
// log of the next leader.
func TestDuplicateForwardAtReplacedLeader(t *testing.T) {
	c := grown(repeatable(t), 5)
	old, f, next := c.leader(), c.followers()[0], c.followers()[1]
	c.hold = func(p *packet) bool {
		return p.to == f.id || p.message != nil && p.message.GetType() == raftpb.MsgAppResp
	}
	write := f.propose()
	c.settle()
	f.node.Reconnected(old.id)
	f.work()
	late := c.takeInFlight(forwards)
	c.net = nil
	c.hold = func(p *packet) bool { return p.to == f.id && p.message != nil } // f does not hear of the next leader
	c.elect(next)
	for _, p := range late {
		c.deliver(p)
	}
	c.settle()
	c.hold = nil
	c.pass(3)
	c.wantDone(write)
	c.wantSame()
}

// A copy that does not fit into a queue is no proof that nothing was sent before.
func TestUndeliveredDuplicateForward(t *testing.T) {
	c := grown(repeatable(t), 3)
	f, leader := c.followers()[0], c.leader()
	c.hold = func(p *packet) bool { return p.message != nil && p.to == f.id }
	first, second := f.propose(), f.propose()
	f.work()
	c.deliver(c.takeInFlight(forwards)[0]) // the other one is lost
	c.settle()
	f.node.Reconnected(leader.id)
	f.work()
	for _, p := range c.takeInFlight(forwards) {
		if err := f.node.Undelivered(p.forward); err != nil {
			t.Fatal(err)
		}
	}
	c.heal()
	c.pass(f.cfg.ElectionTicks + 1)
	c.wantDone(first, second)
}

// A restarted process has other proposal IDs, maybe lower ones.
func TestForwardsAfterRestart(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	for range 3 {
		write := f.propose()
		c.settle()
		c.wantDone(write)
		f.crash(len(f.wal))
		f.lives -= 2
		f.start()
		f.lives += 3
		c.pass(2)
	}
}

// However the streams between followers and a stable leader break, and whichever proposals
// and answers on them are lost, late or duplicated: once the streams are up again everything
// is answered within one tick, after which rejected proposals are retried, and nothing is
// proposed twice.
func TestBrokenStreamsLoseNoProposal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cryptotest.SetGlobalRandom(t, rapid.Uint64().Draw(rt, "election timeouts"))
		c := grown(rt, 3, func(c *raftnode.Config) { c.RequestTicks = 1000 })
		leader := c.leader()
		draw := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(rt, what) }
		c.hold = func(p *packet) bool { return proposals(p) }
		var asked []*ticket
		arrived := map[*packet]bool{}
		for range rapid.IntRange(1, 80).Draw(rt, "events") {
			s := c.up()[draw(3, "machine")]
			switch draw(9, "what") {
			case 0, 1, 2:
				asked = append(asked, s.propose())
			case 3: // which may be refused
				asked = append(asked, s.change(raftnode.ProposalKind(1+draw(2, "kind")), uint64(8+draw(3, "member"))))
			case 4, 5: // some arrive, reordered or duplicated
				for n := draw(4, "packets"); n > 0 && len(c.net) > 0; n-- {
					p := c.net[draw(len(c.net), "packet")]
					if draw(4, "twice") > 0 {
						c.net = without(c.net, p)
					}
					arrived[p] = true
					c.deliver(p)
				}
			case 6: // a stream breaks
				c.net = without(c.net, c.net...)
			case 7: // and is up again
				to := c.up()[draw(3, "to")]
				s.node.Reconnected(to.id)
			case 8:
				for _, p := range c.net {
					if p.forward != nil && !arrived[p] && draw(2, "unsent") == 0 {
						c.net = without(c.net, p)
						if err := c.at(int(p.from)).node.Undelivered(p.forward); err != nil {
							rt.Fatalf("%v", err)
						}
					}
				}
			}
			if draw(3, "settle") > 0 {
				c.settle()
			} else {
				s.work()
			}
		}
		c.hold = nil
		c.net = nil
		for _, s := range c.up() {
			for _, other := range c.up() {
				if other != s {
					s.node.Reconnected(other.id)
				}
			}
		}
		c.settle()
		c.pass(1)
		for _, ticket := range asked {
			if _, answered := c.answers[ticket]; !answered {
				rt.Fatalf("%q is not answered", ticket.command)
			}
		}
		if c.leader() != leader {
			rt.Fatalf("the leader has changed")
		}
		c.wantSame()
		c.wantNothingHeld()
	})
}

// without returns the list less some packets.
func without(list []*packet, some ...*packet) []*packet {
	var left []*packet
	for _, p := range list {
		found := false
		for _, other := range some {
			found = found || p == other
		}
		if !found {
			left = append(left, p)
		}
	}
	return left
}
