package raftnode_test

import (
	"testing"

	"etcd/raftnode"
)

// maxSince is little, so that tests come to it soon.
const maxSince = 4000

func littleMemory(c *raftnode.Config) {
	c.SnapshotEntries, c.SnapshotBytes, c.MaxSinceSnapshot = 1<<20, 1<<30, maxSince
}

// While a snapshot is not written, a leader takes commands only as long as its memory
// lasts. It asks for one by itself, and goes on when it is there.
func TestALeaderRefusesWhatTheNextSnapshotHasToMakeRoomFor(t *testing.T) {
	m := leading(t, littleMemory)
	for round := range 3 {
		var last *ticket
		for n := 0; last == nil || m.answers[last].err == nil; n++ {
			if n > maxSince/100 {
				t.Fatalf("round %d: %d bytes of the log are in no snapshot", round, m.node.SinceSnapshot())
			}
			last = m.propose()
			m.settle()
		}
		m.wantAnswer(last, answer{err: raftnode.ErrOverloaded})
		if since := m.node.SinceSnapshot(); since < maxSince || since > maxSince+1000 {
			t.Fatalf("round %d: refused with %d bytes", round, since)
		}
		read := m.read()
		m.settle()
		m.wantAnswer(read, answer{})
		if m.snapshot == nil {
			t.Fatalf("round %d: no snapshot is asked for", round)
		}
		m.saveSnapshot()
		m.snapshotted()
		m.settle()
	}
}

// Many small entries are in memory before they count for a snapshot by their number or
// their data: it is asked for while there is still room.
func TestASnapshotIsAskedForBeforeTheMemoryIsFull(t *testing.T) {
	m := leading(t, littleMemory)
	for m.snapshot == nil {
		write := m.propose()
		m.settle()
		if got := m.answers[write]; got.err != nil {
			t.Fatalf("none is asked for with %d bytes, and a write is refused: %+v", m.node.SinceSnapshot(), got)
		}
	}
	if since := m.node.SinceSnapshot(); since > maxSince*3/4 {
		t.Fatalf("it is asked for with %d bytes of %d", since, maxSince)
	}
}

// A machine that founds its log on more than that, because it ran without snapshots
// before, asks for one and goes on.
func TestALogThatIsFullAtTheStart(t *testing.T) {
	m := written(t, 100)
	littleMemory(&m.cfg)
	m.crash(len(m.wal))
	m.settle()
	if m.snapshot == nil {
		t.Fatal("no snapshot is asked for")
	}
	m.saveSnapshot()
	m.snapshotted()
	write := m.propose()
	m.settle()
	if got := m.answers[write]; got.err != nil {
		t.Fatalf("still refused: %+v", got)
	}
}

// A follower that cannot write its snapshot takes no more entries than fit, holds nobody
// up, and catches up when it has written it.
func TestAFollowerTakesNoMoreThanItsMemoryHolds(t *testing.T) {
	c := grown(repeatable(t), 3, littleMemory, func(c *raftnode.Config) { c.CatchUpEntries = 1000 })
	f := c.followers()[0]
	f.lazy = true
	term := c.leader().leader.Term
	for range 5 * maxSince / 100 {
		c.write(c.leader())
		c.pass(1)
		if since := f.node.SinceSnapshot(); since > maxSince+1000 {
			t.Fatalf("it has %d bytes in no snapshot", since)
		}
	}
	if f.node.SinceSnapshot() < maxSince || f.snapshot == nil {
		t.Fatalf("it has %d bytes and was asked for %+v", f.node.SinceSnapshot(), f.snapshot)
	}
	if got := c.leader().leader.Term; got != term {
		t.Fatalf("the leader has changed: term %d, then %d", term, got)
	}
	f.lazy = false
	c.pass(20)
	if f.handedOut != c.leader().handedOut {
		t.Fatalf("it has entries up to %d of %d", f.handedOut, c.leader().handedOut)
	}
}
