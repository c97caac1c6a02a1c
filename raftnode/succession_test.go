package raftnode_test

import "testing"

// Nobody waits for the election timeout when the leader's process is gone.
func TestGoneLeaderIsSucceeded(t *testing.T) {
	for behind := range 3 { // 2: none is
		c := grown(repeatable(t), 3)
		old, f := c.leader(), c.followers()
		if behind < 2 {
			c.isolate(f[behind])
			write := old.propose()
			c.settle()
			c.wantDone(write)
			c.heal()
		}
		c.isolate(old)
		for _, s := range f {
			s.node.Gone(old.id)
		}
		c.pass(4)
		if leads := f[0].leader.Self || f[1].leader.Self; !leads {
			t.Errorf("nobody leads, behind: %d", behind)
		}
	}
}

// A leader that only one member takes for gone goes on.
func TestLeaderThatIsNotGone(t *testing.T) {
	c := grown(repeatable(t), 3)
	old, f := c.leader(), c.followers()
	f[0].node.Gone(old.id)
	f[0].node.Gone(f[1].id)
	old.node.Gone(f[0].id)
	c.pass(25)
	if c.leader() != old || f[0].leader.ID != old.id {
		t.Errorf("%x leads, and %x follows %x; want %x", c.leader().id, f[0].id, f[0].leader.ID, old.id)
	}
}
