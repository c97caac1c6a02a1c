package raftnode_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// holding leaves messages of some types to or from one machine in flight.
func holding(member uint64, types ...raftpb.MessageType) func(p *packet) bool {
	return func(p *packet) bool {
		if p.message == nil || p.to != member && p.from != member {
			return false
		}
		for _, typ := range types {
			if p.message.GetType() == typ {
				return true
			}
		}
		return false
	}
}

func TestFollowerReadIsLinearizable(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = holding(f.id, raftpb.MsgApp)
	write := c.leader().propose()
	c.settle()
	c.wantDone(write)
	read := f.read()
	c.settle()
	c.wantOpen(read) // f knows the read index, and has not applied it
	c.heal()
	c.settle()
	c.wantDone(read)
}

func TestReplacedLeaderServesNoReads(t *testing.T) {
	c := grown(repeatable(t), 3)
	old := c.leader()
	c.isolate(old)
	c.elect(c.followers()[0])
	write := c.leader().propose()
	c.settle()
	c.wantDone(write)
	read := old.read() // the harness would see a stale answer
	c.pass(3)
	c.wantOpen(read)
	c.heal()
	c.pass(2)
	c.wantDone(read)
}

func TestLostReadIndexIsRetried(t *testing.T) {
	for _, test := range []struct {
		name  string
		after func(c *cluster, f *server) // the ReadIndex of f was lost
		ticks int
	}{
		{"after an election timeout", func(*cluster, *server) {}, 10},
		{"when the leader is unreachable", func(c *cluster, f *server) { f.node.Unreachable(c.leader().id) }, 1},
		{"when another machine leads", func(c *cluster, f *server) { c.elect(c.followers()[1]) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), 3)
			f := c.followers()[0]
			// The link breaks silently.
			lost := holding(f.id, raftpb.MsgReadIndex)
			c.hold = func(p *packet) bool { return p.from == f.id && lost(p) }
			read := f.read()
			c.settle()
			c.hold, c.net = nil, nil
			test.after(c, f)
			for range test.ticks {
				c.settle()
				c.wantOpen(read)
				c.pass(1)
			}
			c.settle()
			c.wantDone(read)
		})
	}
}

func TestReadWithoutLeaderTimesOut(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.isolate(f)
	read := f.read()
	c.pass(39)
	c.wantOpen(read)
	c.pass(1)
	if c.answers[read].err == nil {
		t.Fatal("a machine that is cut off answers a read")
	}
}

// A leader's answer to one process of a machine must not be taken by its successor: there may
// have been writes in between.
func TestReadIndexOfEarlierProcessIsIgnored(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = holding(f.id, raftpb.MsgReadIndexResp)
	f.read()
	c.settle()
	f.crash(len(f.wal))
	write := c.leader().propose()
	c.settle()
	c.wantDone(write)
	c.hold = holding(f.id, raftpb.MsgReadIndexResp, raftpb.MsgApp, raftpb.MsgReadIndex)
	f.start()
	c.pass(2)
	read := f.read()
	c.settle()
	c.hold = holding(f.id, raftpb.MsgApp, raftpb.MsgReadIndex)
	c.settle()
	c.wantOpen(read)
	c.heal()
	c.settle()
	c.wantDone(read)
}

// The only voter may not know after a restart that its whole log is committed, until an entry
// of its new term is.
func TestLearnerReadAtRestartedOnlyVoter(t *testing.T) {
	c := newCluster(repeatable(t))
	learner, lone := c.joiner(), c.at(1)
	lone.change(raftnode.KindAdd, learner.id)
	c.settle()
	learner.start()
	c.pass(1) // now it has caught up, and is promoted at the next tick
	c.hold = holding(learner.id, raftpb.MsgApp, raftpb.MsgReadIndex)
	write := lone.propose()
	for c.answers[write].index == 0 {
		lone.work()
		for len(lone.wal) > 0 && lone.wal[0].Urgent {
			lone.sync(1)
		}
	}
	read := learner.read()
	learner.work()
	lone.crash(0)
	lone.start()
	for !lone.leader.Self { // the first entry of its term is not durable yet
		lone.work()
		lone.apply(len(lone.store))
		if !lone.leader.Self {
			lone.sync(len(lone.wal))
		}
	}
	for i := 0; i < len(c.net); {
		if c.net[i].message.GetType() == raftpb.MsgApp {
			i++
			continue
		}
		c.deliver(c.take(i))
		lone.work()
	}
	learner.work()
	c.wantOpen(read)
	c.heal()
	c.pass(3) // it was kept until it could be answered
	c.wantDone(read)
}
