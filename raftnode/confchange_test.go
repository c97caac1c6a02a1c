package raftnode_test

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

func (c *cluster) wantVoters(ids ...uint64) {
	c.t.Helper()
	for _, s := range c.up() {
		got := s.node.Status().Voters
		if !slices.Equal(got, ids) {
			c.t.Fatalf("for %x the voters are %v, want %v", s.id, got, ids)
		}
	}
}

func TestLearnerIsPromoted(t *testing.T) {
	c := newCluster(repeatable(t))
	joiner := c.joiner()
	ask := c.leader().change(raftnode.KindAdd, joiner.id)
	c.settle()
	c.wantDone(ask)
	if got := c.leader().node.Status().Learners; !slices.Equal(got, []uint64{joiner.id}) {
		t.Fatalf("learners %v", got)
	}
	c.pass(30) // it is unreachable: it stays a learner, and no quorum needs it
	write := c.leader().propose()
	c.settle()
	c.wantDone(write)
	c.wantVoters(1)

	joiner.start()
	c.pass(4)
	c.wantVoters(1, 2)
	c.wantSame()
	write, read := joiner.propose(), joiner.read()
	c.settle()
	c.wantDone(write, read)
}

func TestLaggingLearnerIsNotPromoted(t *testing.T) {
	c := newCluster(repeatable(t))
	leader, joiner := c.leader(), c.joiner()
	leader.change(raftnode.KindAdd, joiner.id)
	c.settle()
	joiner.start()
	c.pass(1)
	c.hold = holding(joiner.id, raftpb.MsgApp)
	for range 65 {
		leader.propose()
		c.settle()
	}
	c.pass(20)
	if got := leader.node.Status().Voters; !slices.Equal(got, []uint64{1}) {
		t.Fatalf("the voters are %v", got)
	}
	c.heal()
	c.pass(3)
	c.wantVoters(1, 2)
}

func TestConcurrentConfChanges(t *testing.T) {
	c := grown(repeatable(t), 3)
	a, b := c.joiner(), c.joiner()
	f := c.followers()
	all := []*ticket{
		f[0].change(raftnode.KindAdd, a.id), f[1].change(raftnode.KindAdd, b.id), c.leader().propose(),
		f[0].change(raftnode.KindRemove, a.id), f[1].propose(), f[0].change(raftnode.KindAdd, b.id),
	}
	c.settle()
	c.wantDone(all...)
	b.start()
	c.pass(5)
	c.wantSame()
	c.wantVoters(1, 2, 3, b.id)
	if learners := c.leader().node.Status().Learners; len(learners) > 0 {
		t.Fatalf("learners %v", learners)
	}
}

// A new leader applies the conf change that it has inherited before it checks the next one.
// Otherwise both would pass as the last machine below the limit.
func TestConfChangeAfterElection(t *testing.T) {
	for _, who := range []string{"leader", "follower"} {
		t.Run(who, func(t *testing.T) {
			c := grown(repeatable(t), 3, func(c *raftnode.Config) { c.MaxMembers = 4 })
			old, f := c.leader(), c.followers()
			c.hold = func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgAppResp }
			first := old.change(raftnode.KindAdd, 8)
			c.settle()
			c.wantOpen(first)
			c.hold, c.net = nil, nil
			c.isolate(old)
			from := f[0]
			if who == "follower" {
				from = f[1]
			}
			c.hold = holding(f[1].id, raftpb.MsgAppResp)
			c.elect(f[0])
			second := from.change(raftnode.KindAdd, 9)
			c.settle()
			c.wantOpen(second)
			c.hold = nil
			c.pass(1)
			if c.where[first.command] == 0 {
				t.Fatal("the change of the old leader is lost")
			}
			c.wantFailed(second, raftnode.ErrTooManyMembers)
			c.heal()
			c.pass(2)
			c.wantDone(first)
		})
	}
}

func TestMaxMembers(t *testing.T) {
	c := grown(repeatable(t), 2, func(c *raftnode.Config) { c.MaxMembers = 3 })
	leader := c.leader()
	third := leader.change(raftnode.KindAdd, 8) // it never starts, and counts
	fourth := leader.change(raftnode.KindAdd, 9)
	again := leader.change(raftnode.KindAdd, 8)
	c.settle()
	c.wantDone(third, again)
	c.wantFailed(fourth, raftnode.ErrTooManyMembers)
	gone, fourth := leader.change(raftnode.KindRemove, 8), leader.change(raftnode.KindAdd, 9)
	c.settle()
	c.wantDone(gone, fourth)
}

func TestInvalidMemberID(t *testing.T) {
	c := grown(repeatable(t), 2)
	for i, s := range c.up() {
		for id, want := range map[uint64]error{
			0: raftnode.ErrReservedID, 1 << 63: raftnode.ErrReservedID, 1<<64 - 1: raftnode.ErrReservedID, 1<<63 - 1 - uint64(i): nil,
		} {
			add, remove := s.change(raftnode.KindAdd, id), s.change(raftnode.KindRemove, id)
			c.settle()
			if got := c.answers[add].err; got != want {
				t.Errorf("%q: got %v, want %v", add.command, got, want)
			}
			if id == 1<<63 { // there may be such members
				want = raftnode.ErrUnknownMember
			}
			if got := c.answers[remove].err; got != want {
				t.Errorf("%q: got %v, want %v", remove.command, got, want)
			}
		}
	}
}

// Removing a live machine must not leave the cluster without a live quorum.
func TestRemovalNeedsLiveQuorum(t *testing.T) {
	c := grown(repeatable(t), 3)
	leader, dead, alive := c.leader(), c.followers()[0], c.followers()[1]
	c.isolate(dead)
	c.pass(15)
	for _, id := range []uint64{alive.id, leader.id} {
		for _, from := range []*server{leader, alive} {
			ask := from.change(raftnode.KindRemove, id)
			c.settle()
			c.wantFailed(ask, raftnode.ErrLosesQuorum)
		}
	}
	ask := alive.change(raftnode.KindRemove, dead.id)
	c.settle()
	c.wantDone(ask)
	dead.removed, dead.node = true, nil
	c.wantVoters(leader.id, alive.id)
}

func TestLastVoterIsNotRemoved(t *testing.T) {
	c := newCluster(repeatable(t))
	leader := c.leader()
	ask := leader.change(raftnode.KindRemove, leader.id)
	c.settle()
	c.wantFailed(ask, raftnode.ErrLastVoter)

	joined := leader.change(raftnode.KindAdd, 9) // stays a learner
	ask = leader.change(raftnode.KindRemove, leader.id)
	c.settle()
	c.wantDone(joined)
	c.wantFailed(ask, raftnode.ErrLastVoter)
	gone, write := leader.change(raftnode.KindRemove, 9), leader.propose()
	c.settle()
	c.wantDone(gone, write)
}

func TestRemoval(t *testing.T) {
	for _, test := range []struct {
		name     string
		machines int
		who      func(c *cluster) *server
	}{
		{"a follower", 3, func(c *cluster) *server { return c.followers()[0] }},
		{"the leader", 3, func(c *cluster) *server { return c.leader() }},
		{"a follower of two", 2, func(c *cluster) *server { return c.followers()[0] }},
		{"the leader of five", 5, func(c *cluster) *server { return c.leader() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := grown(repeatable(t), test.machines)
			gone := test.who(c)
			c.followers()[0].change(raftnode.KindRemove, gone.id)
			c.pass(2) // the leader hands over first
			if !gone.removed {
				t.Fatal("the machine is not told that it is no member any more")
			}
			var left []uint64
			for _, s := range c.up() {
				left = append(left, s.id)
			}
			if len(left) != test.machines-1 {
				t.Fatalf("%v are left", left)
			}
			c.pass(25)
			c.wantVoters(left...)
			for _, s := range c.up() {
				write := s.propose()
				c.settle()
				c.wantDone(write)
			}
		})
	}
}

// wantParted checks that of two machines stays serves alone, and that the other one ends.
func (c *cluster) wantParted(stays, goes *server) {
	c.t.Helper()
	c.pass(60)
	if !goes.removed || !stays.leader.Self {
		c.t.Fatalf("removed: %t, the one that stays: %+v", goes.removed, stays.node.Status())
	}
	c.wantVoters(stays.id)
	write := stays.propose()
	c.settle()
	c.wantDone(write)
}

// Of two machines one is removed, and is elected before the other knows that the removal is
// committed. It applies the removal; if it ended at once, and its last message were lost, the
// other one could never win an election.
func TestRemovedLeaderStaysUntilPeerKnows(t *testing.T) {
	c := grown(repeatable(t), 2)
	stays, goes := c.at(1), c.at(2)
	removal := stays.node.Status().Commit + 1
	c.hold = func(p *packet) bool { return p.from == goes.id } // it has the entry, and its acks are held
	stays.change(raftnode.KindRemove, goes.id)
	c.settle()
	stays.crash(len(stays.wal))
	stays.start()

	c.net = nil
	c.hold = func(p *packet) bool { return p.from == goes.id && p.message.GetCommit() >= removal }
	if err := goes.node.Campaign(); err != nil {
		t.Fatal(err)
	}
	c.settle()
	if commit := stays.node.Status().Commit; goes.node.Status().Applied < removal || commit >= removal {
		t.Fatalf("the removal is entry %d: %+v, and the other knows of %d", removal, goes.node.Status(), commit)
	}
	c.net, c.hold = nil, nil

	c.wantParted(stays, goes)
}

// The machine that stays has lost entries in a power cut that it had sent to the removed one,
// and does not know yet that the removal is committed: with the shorter log it needs the vote
// of the removed one.
func TestRemovedMemberVotesForLastVoter(t *testing.T) {
	c := grown(repeatable(t), 2)
	stays, goes := c.at(1), c.at(2)
	c.hold = func(p *packet) bool { return p.from == goes.id }
	removal := stays.node.Status().Commit + 1
	stays.change(raftnode.KindRemove, goes.id)
	c.settle()
	stays.stuck = true // from here on its disk hangs
	stays.propose()
	c.settle()
	c.hold = nil
	c.settle()
	if applied := goes.node.Status().Applied; applied < removal {
		t.Fatalf("the removal is entry %d, and %d are applied", removal, applied)
	}
	stays.crash(0)
	stays.stuck = false
	stays.start()
	if commit := stays.node.Status().Commit; commit >= removal {
		t.Fatalf("the one that stays knows that %d is committed", commit)
	}

	c.wantParted(stays, goes)
}

func TestRejoiningVoterKeepsItsVote(t *testing.T) {
	c := grown(repeatable(t), 2)
	ask := c.followers()[0].change(raftnode.KindAdd, 2)
	c.settle()
	c.wantDone(ask)
	c.wantVoters(1, 2)
	ask = c.leader().change(raftnode.KindAdd, c.leader().id)
	c.settle()
	c.wantDone(ask)
	c.wantVoters(1, 2)
}

func TestLocalMessagesFromPeersAreRefused(t *testing.T) {
	local := []raftpb.MessageType{
		raftpb.MsgHup, raftpb.MsgBeat, raftpb.MsgUnreachable, raftpb.MsgSnapStatus, raftpb.MsgCheckQuorum,
		raftpb.MsgStorageAppend, raftpb.MsgStorageAppendResp, raftpb.MsgStorageApply, raftpb.MsgStorageApplyResp,
		raftpb.MsgProp, raftpb.MsgTransferLeader, raftpb.MsgForgetLeader,
		raftpb.MsgSnap, raftpb.MsgReadIndex, raftpb.MsgReadIndexResp, // invalid without their content
	}
	for number, name := range raftpb.MessageType_name {
		typ := raftpb.MessageType(number)
		for to, mine := range map[uint64]bool{1: true, 2: false, 0: false} {
			c := newCluster(repeatable(t))
			err := c.at(1).node.Step(raftnode.Message{Message: &raftpb.Message{
				Type: typ.Enum(), From: new(uint64(9)), To: new(to), Term: new(uint64(1)), // an old term
			}}, raftnode.Reading{})
			if want := mine && !slices.Contains(local, typ); (err == nil) != want {
				t.Errorf("%s for %d: %v", name, to, err)
			}
			write := c.at(1).propose()
			c.settle()
			c.wantDone(write)
		}
	}
}

// A leader that was just elected has not heard from every member yet: it does not take silent
// members for dead.
func TestRemovalWaitsForNewLeaderToHearMembers(t *testing.T) {
	c := grown(repeatable(t), 5)
	old := c.leader()
	for _, s := range c.followers()[:2] {
		c.isolate(s) // briefly
	}
	ask := old.change(raftnode.KindRemove, old.id) // the leader hands over first
	write := old.propose()
	c.settle()
	c.wantOpen(ask)
	c.wantDone(write) // writes do not wait for it
	write = c.leader().propose()
	c.settle()
	c.wantDone(write)
	c.heal()
	c.pass(15)
	c.wantDone(ask)
}

// A conf change that waits for another one does not hold up commands.
func TestCommandsOvertakeConfChange(t *testing.T) {
	c := newCluster(repeatable(t))
	s := c.leader()
	first, second, write := s.change(raftnode.KindAdd, 8), s.change(raftnode.KindAdd, 9), s.propose()
	s.work()
	if n := len(s.wal[len(s.wal)-1].Entries); n != 2 {
		t.Fatalf("%d entries are appended, want the first change and the command", n)
	}
	c.settle()
	c.wantDone(first, second, write)
}

// A leader that is to be removed hands over first. Nothing can be proposed meanwhile, but what
// was queued before is proposed, even if no other machine ever takes over.
func TestQueuedCommandsAfterFailedTransfer(t *testing.T) {
	c := grown(repeatable(t), 3)
	leader := c.leader()
	c.hold = func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgTimeoutNow }
	ask, write := leader.change(raftnode.KindRemove, leader.id), leader.propose()
	c.settle()
	c.wantOpen(ask)
	c.wantDone(write)
	write = leader.propose()
	c.pass(12) // Raft aborts the transfer after an election timeout
	c.wantOpen(ask)
	c.wantDone(write)
	c.hold, c.net = nil, nil
	c.pass(15)
	c.wantDone(ask)
}
