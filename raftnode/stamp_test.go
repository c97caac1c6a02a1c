package raftnode_test

import (
	"slices"
	"testing"
	"time"

	"etcd/raftnode"
)

// epoch is the wall time at which every test starts.
const epoch = 1_700_000_000_000_000_000

// reading reads the clocks of s.
func (s *server) reading() raftnode.Reading {
	now := s.c.now()
	return raftnode.Reading{Mono: now - s.started, Wall: uint64(epoch + int64(now) + s.skew)}
}

// stamp checks and records the time in an entry that s applies: the same on every machine, and
// never before that of an earlier entry.
func (c *cluster) stamp(s *server, e raftnode.Entry) {
	c.t.Helper()
	at, ok := c.stamps[e.Index]
	switch {
	case ok && at != e.Now:
		c.t.Fatalf("%x applies entry %d as of %d, another one as of %d", s.id, e.Index, e.Now, at)
	case !ok && e.Now < c.timeAt(e.Index):
		c.t.Fatalf("entry %d has the time %d, one before it %d", e.Index, e.Now, c.timeAt(e.Index))
	}
	c.stamps[e.Index] = e.Now
}

// timeAt is the latest time in an entry up to an index.
func (c *cluster) timeAt(index uint64) (latest uint64) {
	for at, now := range c.stamps {
		if at <= index {
			latest = max(latest, now)
		}
	}
	return latest
}

// A TTL counts from the moment at which the leader that commits the command proposes it,
// however long it was queued before.
func TestQueuedCommandsAreStampedWhenProposed(t *testing.T) {
	for _, test := range []struct {
		name string
		wait func(c *cluster) *ticket // proposes something that the current leader does not commit
	}{
		{"without a leader", func(c *cluster) *ticket {
			old, f := c.leader(), c.followers()[0]
			old.crash(0)
			for f.leader.ID != 0 {
				f.tick(1)
				f.work()
			}
			return f.propose()
		}},
		{"in the log of a leader that nobody hears", func(c *cluster) *ticket {
			old := c.leader()
			c.isolate(old)
			return old.propose()
		}},
		{"on the way to a leader that is gone", func(c *cluster) *ticket {
			old, f := c.leader(), c.followers()[0]
			write := f.propose()
			f.work()
			old.crash(0)
			return write
		}},
		{"at the leader, behind another membership change", func(c *cluster) *ticket {
			old := c.leader()
			c.isolate(old)
			old.change(raftnode.KindAdd, 8)
			return old.change(raftnode.KindAdd, 9)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), 3)
			term := c.leader().leader.Term
			waiting := test.wait(c)
			c.wantOpen(waiting)
			c.hold = func(*packet) bool { return true } // no leader is elected
			c.pass(5)
			c.hold, c.net = nil, nil
			before := epoch + c.now()
			leads := func(s *server) bool { return s.leader.Self && s.leader.Term > term }
			for !slices.ContainsFunc(c.up(), leads) {
				c.pass(1)
			}
			for _, s := range c.servers {
				if s.node == nil {
					s.start()
				}
			}
			c.heal()
			c.pass(5)
			c.wantDone(waiting)
			if at := c.stamps[c.where[waiting.command]]; at < before {
				t.Fatalf("the entry has the time %d; its leader was elected after %d", at, before)
			}
		})
	}
}

// What a wall clock may be off, in nanoseconds.
const hour = int64(time.Hour)

// write proposes something and returns the time of its entry.
func (c *cluster) write(s *server) uint64 {
	c.t.Helper()
	t := s.propose()
	c.settle()
	c.wantDone(t)
	return c.stamps[c.where[t.command]]
}

// The time of the log is handed on from leader to leader, independently of their wall clocks.
func TestTheTimeOfTheLogSurvivesItsLeaders(t *testing.T) {
	for _, test := range []struct {
		name string
		next func(c *cluster, old *server) (next *server) // has another machine lead
	}{
		{"the leader is killed", func(c *cluster, old *server) *server {
			next := c.followers()[0]
			old.crash(0)
			c.elect(next)
			return next
		}},
		{"the leader hands over", func(c *cluster, old *server) *server {
			old.node.Transfer()
			c.settle()
			return c.leader()
		}},
		{"a machine leads that was just started, and has heard nobody but those who vote for it", func(c *cluster, old *server) *server {
			next := c.followers()[0]
			next.crash(0)
			c.isolate(old)
			next.start()
			c.settle()
			c.elect(next)
			return next
		}},
		{"all but one were started again", func(c *cluster, old *server) *server {
			next := c.followers()[1]
			old.crash(0)
			next.crash(0)
			old.start()
			next.start()
			c.settle()
			c.hold = func(p *packet) bool { return p.from == old.id || p.to == old.id }
			c.elect(next)
			c.heal()
			return next
		}},
		{"a machine leads that was down all the while", func(c *cluster, old *server) *server {
			next := c.followers()[1]
			next.crash(0)
			c.write(old)
			next.start()
			c.pass(1)
			old.crash(0)
			c.elect(next)
			return next
		}},
	} {
		for _, skew := range []int64{-hour, hour} {
			t.Run(test.name, func(t *testing.T) {
				c := grown(repeatable(t), 3)
				old := c.leader()
				for _, s := range c.followers() {
					s.skew = skew
				}
				from := c.now()
				before := c.write(old)
				next := test.next(c, old)
				if next == old || !next.leader.Self {
					t.Fatalf("%x leads", c.leader().id)
				}
				after, passed := c.write(next), c.now()-from
				if after < before || after > before+passed {
					t.Fatalf("the time of the log was %d, and %d after %d have passed", before, after, passed)
				}
			})
		}
	}
}

// When no machine knows the time of the log any more, the wall clock of the leader counts, but
// never a time before the last entry of its log, uncommitted ones included.
func TestTheTimeOfTheLogAfterAFullRestart(t *testing.T) {
	for _, test := range []struct {
		name string
		skew int64
	}{{"clock is right", 0}, {"clock is ahead", hour}, {"clock is behind", -hour}} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), 3)
			before := c.write(c.leader())
			c.leader().propose()
			c.leader().work()
			for _, s := range c.servers {
				s.crash(len(s.wal))
				s.skew = test.skew
			}
			c.net = nil // earlier packets are lost
			for _, s := range c.servers {
				s.start()
			}
			c.settle()
			c.elect(c.at(1))
			after, wall := c.write(c.leader()), uint64(epoch+test.skew)
			if after < before || after-max(before, wall) > c.now() {
				t.Fatalf("the time of the log was %d and is %d, the clock says %d", before, after, wall)
			}
		})
	}
}
