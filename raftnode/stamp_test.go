package raftnode_test

import (
	"slices"
	"testing"

	"etcd/raftnode"
)

// stamp notes the time in an entry that s applies; every machine finds the same.
func (c *cluster) stamp(s *server, e raftnode.Entry) {
	c.t.Helper()
	if at, ok := c.stamps[e.Index]; ok && at != e.Now {
		c.t.Fatalf("%x applies entry %d as of %d, another one as of %d", s.id, e.Index, e.Now, at)
	}
	c.stamps[e.Index] = e.Now
}

// A time to live counts from the moment at which the leader that commits the command takes
// it into its log, however long it has waited before.
func TestWhatWaitedIsStampedWhenItEntersTheLog(t *testing.T) {
	for _, test := range []struct {
		name string
		wait func(c *cluster) *ticket // proposes something that the present leader does not commit
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
			c.hold = func(*packet) bool { return true } // nobody is elected
			c.pass(5)
			c.hold, c.net = nil, nil
			before := c.now()
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
