package raftnode_test

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// forgetful machines keep few entries in memory.
func forgetful(c *raftnode.Config) { c.MaxInMemory = 1000 }

func (c *cluster) writes(n int) {
	c.t.Helper()
	for range n {
		write := c.leader().propose()
		c.settle()
		c.wantDone(write)
	}
}

// As long as the log on disk has the entries that a follower lacks, it gets these and no
// snapshot, also several followers at once.
func TestLaggingFollowersGetEntriesFromDisk(t *testing.T) {
	c := grown(repeatable(t), 5, forgetful)
	for _, f := range c.followers()[:2] {
		c.writes(40)
		c.isolate(f)
	}
	c.writes(40)
	l := c.leader()
	if first, last := l.node.FirstInMemory(), l.handedOut; (last+1-first)*128 > 1000 {
		t.Fatalf("entries from %d to %d are in memory", first, last)
	}
	c.heal()
	c.pass(30)
	c.wantSame()
	for _, s := range c.up() {
		if s.installs > 0 {
			t.Errorf("%x was sent a snapshot", s.id)
		}
	}
	if l.readBacks == 0 {
		t.Error("nothing was read back")
	}
}

// A start applies entries that are only on disk. Those that are in memory stay there until they
// are applied.
func TestStartReadsBackEntries(t *testing.T) {
	m := written(t, 100, forgetful)
	want := len(m.state)
	m.crash(len(m.wal))
	if first := m.node.FirstInMemory(); first < 80 || first > 85 {
		t.Fatalf("the entries from %d on are in memory", first)
	}
	atStart := m.node.FirstInMemory()
	m.settle()
	if len(m.readBack) == 0 || slices.Max(m.readBack) >= atStart {
		t.Errorf("entries were read back from %d on, those from %d on were in memory", m.readBack, atStart)
	}
	if first := m.node.FirstInMemory(); first < 95 {
		t.Errorf("the entries from %d on are still in memory", first)
	}
	if len(m.state) != want {
		t.Fatalf("%d commands are applied, want %d", len(m.state), want)
	}
	write := m.propose()
	m.settle()
	m.wantAnswer(write, answer{index: m.handedOut})
}

// A machine that has to read back entries before it can apply them is no candidate, not even
// on a leader transfer. It votes all the same, also when its leader is gone meanwhile.
func TestMachineReadingBackVotesButDoesNotCampaign(t *testing.T) {
	c := grown(repeatable(t), 3, forgetful)
	c.writes(60)
	l, slow, other := c.leader(), c.followers()[0], c.followers()[1]
	slow.crash(len(slow.wal))
	slow.unread = true
	slow.start()
	c.pass(2)
	term := l.leader.Term
	for range 50 {
		slow.tick(1)
		slow.work()
	}
	takeOver := &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: new(l.id), To: new(slow.id), Term: new(term)}
	if err := slow.node.Step(raftnode.Message{Message: takeOver}, slow.reading()); err != nil {
		t.Fatal(err)
	}
	slow.work()
	if got := slow.node.Status(); got.Term != term {
		t.Fatalf("it is in term %d, and the others are in %d", got.Term, term)
	}
	c.pass(2)
	l.crash(len(l.wal))
	c.pass(60)
	if !other.leader.Self {
		t.Fatalf("there is no leader: %+v", other.leader)
	}
	slow.unread = false
	slow.readBackDone()
	c.pass(10)
	if slow.handedOut != other.handedOut {
		t.Fatalf("it has applied %d of %d", slow.handedOut, other.handedOut)
	}
}

// Entries that were overwritten or removed while they were read back are not used.
func TestStaleReadBacksAreIgnored(t *testing.T) {
	c := grown(repeatable(t), 3, forgetful)
	f := c.followers()[0]
	c.isolate(f)
	c.writes(60)
	l := c.leader()
	l.unread = true
	c.heal()
	c.pass(5)
	if l.asked == nil {
		t.Fatal("nothing is to be read")
	}
	entries := fitting(l.disk.entries[l.asked.From-1:], l.asked.Bytes)
	for i, e := range entries {
		entries[i] = &raftpb.Entry{Index: e.Index, Term: new(e.GetTerm() + 1), Data: []byte("of another branch")}
	}
	if err := l.node.ReadBackDone(l.asked.From, entries); err != nil {
		t.Fatal(err)
	}
	l.unread = false
	c.pass(20)
	c.wantSame()
	if err := l.node.ReadBackDone(1, nil); err == nil {
		t.Error("entries that were not requested are accepted")
	}
}
