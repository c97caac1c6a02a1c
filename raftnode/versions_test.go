package raftnode_test

import (
	"errors"
	"fmt"
	"testing"

	"etcd/raftnode"
	"etcd/version"
)

func raiseTo(to, _ uint32) []byte { return fmt.Appendf(nil, "raise %d", to) }

// understands returns the range of a program that knows all versions up to last.
func understands(last uint32) version.Range { return version.Range{Min: 1, Max: last} }

func programs(last uint32) func(*raftnode.Config) {
	return func(cfg *raftnode.Config) { cfg.Commands = understands(last) }
}

// tell tells the leader what the programs of the others understand.
func (c *cluster) tell(last map[uint64]uint32) {
	for id, v := range last {
		c.leader().node.Understands(id, understands(v))
	}
	c.pass(3)
}

func (c *cluster) wantVersion(want uint32) {
	c.t.Helper()
	for _, s := range c.up() {
		if got := rosterOf(c.log[:s.records]).Version; got != want {
			c.t.Fatalf("the version of the cluster on %x is %d, want %d", s.id, got, want)
		}
	}
}

func TestVersionIsRaisedWhenAllUnderstandIt(t *testing.T) {
	c := grown(repeatable(t), 3, programs(5))
	f := c.followers()
	c.pass(3)
	c.wantVersion(1)
	c.tell(map[uint64]uint32{f[0].id: 3})
	c.wantVersion(1) // the third machine is not known yet
	c.tell(map[uint64]uint32{f[1].id: 1})
	c.wantVersion(1)
	c.tell(map[uint64]uint32{f[1].id: 4})
	c.wantVersion(3) // the lowest of all
	c.tell(map[uint64]uint32{f[0].id: 2, f[1].id: 2})
	c.wantVersion(3) // it never falls
	c.tell(map[uint64]uint32{f[0].id: 5, f[1].id: 5})
	c.wantVersion(5)
	for _, s := range c.up() {
		if s.node.Version() != 5 {
			t.Errorf("%x says that the version is %d", s.id, s.node.Version())
		}
	}
}

func TestSingleMachineRaisesVersion(t *testing.T) {
	c := newCluster(repeatable(t), programs(2))
	c.pass(3)
	c.wantVersion(2)
}

func TestVersionWaitsForMembersThatAreDown(t *testing.T) {
	c := grown(repeatable(t), 3, programs(2))
	f := c.followers()
	c.isolate(f[0])
	c.pass(25)
	c.tell(map[uint64]uint32{f[0].id: 2, f[1].id: 2})
	c.wantVersion(1)
	c.heal()
	c.pass(5)
	c.wantVersion(2)
}

func TestLearnerCountsForVersion(t *testing.T) {
	c := newCluster(repeatable(t), programs(1))
	learner := c.joiner()
	ask := c.leader().changeAs(raftnode.KindAdd, learner.id, "m p c understands 1")
	c.settle()
	c.wantDone(ask)
	c.at(1).crash(0)
	c.at(1).cfg.Commands = understands(2)
	c.at(1).start()
	c.pass(5)
	c.wantVersion(1)
}

func TestOlderProgramCannotJoin(t *testing.T) {
	c := newCluster(repeatable(t), programs(3))
	c.pass(3)
	c.wantVersion(3)
	for said, want := range map[string]error{"1-2": raftnode.ErrVersion, "4-5": raftnode.ErrVersion, "1-3": nil} {
		joiner := c.joiner()
		ask := c.leader().changeAs(raftnode.KindAdd, joiner.id, fmt.Sprintf("m%d p%d c%d understands %s", joiner.id, joiner.id, joiner.id, said))
		c.settle()
		if got := c.answers[ask]; !errors.Is(got.err, want) {
			t.Errorf("who understands %s: %+v, want %v", said, got, want)
		}
	}
}

// A join concurrent with a raise never leaves a member that does not understand the version.
func TestJoinDuringRaise(t *testing.T) {
	c := grown(repeatable(t), 2, programs(2))
	c.leader().node.Understands(c.followers()[0].id, understands(2))
	joiner := c.joiner()
	c.leader().node.Tick()
	ask := c.followers()[0].changeAs(raftnode.KindAdd, joiner.id, "m p c understands 1")
	c.pass(5)
	c.wantVersion(2)
	if got := c.answers[ask]; !errors.Is(got.err, raftnode.ErrVersion) {
		t.Errorf("got %+v", got)
	}
}
