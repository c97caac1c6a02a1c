package raftnode_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// maxSince is small, so that tests reach it soon.
const maxSince = 4000

func littleMemory(c *raftnode.Config) {
	c.SnapshotEntries, c.SnapshotBytes, c.MaxSinceSnapshot = 1<<20, 1<<30, maxSince
}

// Until a snapshot is durable, a leader takes commands only as far as its memory allows. It
// requests a snapshot by itself, and goes on when that is durable.
func TestFullLeaderRefusesUntilSnapshot(t *testing.T) {
	m := leading(t, littleMemory)
	for round := range 3 {
		var last *ticket
		for n := 0; last == nil || m.answers[last].err == nil; n++ {
			if n > maxSince/40 {
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

// Many small entries fill the memory before their number or their data makes a snapshot due:
// it is requested while there is still room.
func TestSnapshotIsRequestedBeforeLogIsFull(t *testing.T) {
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

// A machine that starts with a longer log, because it ran without snapshots before, requests
// one and goes on.
func TestLogFullAtStart(t *testing.T) {
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

// A follower that cannot write its snapshot takes no more entries than fit, does not hold up
// the cluster, and catches up once the snapshot is durable.
func TestFullFollowerTakesNoEntries(t *testing.T) {
	c := grown(repeatable(t), 3, littleMemory)
	c.retained = 1000
	f := c.followers()[0]
	f.lazy = true
	term := c.leader().leader.Term
	for range 5 * maxSince / 40 {
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

// The remaining machines are full of entries that none knows to be committed. The next leader
// commits them with the first entry of its term, for which there has to be room; then
// snapshots make room for more.
func TestFullUncommittedLog(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := grown(repeatable(t), 3, littleMemory)
		c.retained = 1000
		first := c.leader()
		c.hold = holding(first.id, raftpb.MsgAppResp)
		for range 2 * maxSince / 80 {
			first.propose()
			c.settle()
		}
		for _, s := range c.up() {
			if s.node.SinceSnapshot() < maxSince {
				t.Fatalf("%x has only %d bytes in no snapshot", s.id, s.node.SinceSnapshot())
			}
		}
		c.isolate(first)
		c.hold, c.net = nil, nil
		if restart {
			for _, s := range c.up() {
				s.crash(len(s.wal))
				s.start()
			}
		}
		c.pass(100)
		for _, s := range c.up() {
			if since := s.node.SinceSnapshot(); since > maxSince+1000 {
				t.Fatalf("%x has %d bytes in no snapshot", s.id, since)
			}
		}
		write := c.leader().propose()
		c.pass(5)
		c.wantDone(write)
		c.heal()
		c.pass(100)
		write = c.leader().propose()
		c.pass(5)
		c.wantDone(write)
		c.wantSame()
	}
}

// The same on a single machine whose disk has no commit index for these entries.
func TestFullUncommittedLogOfSingleMachine(t *testing.T) {
	m := written(t, 100)
	littleMemory(&m.cfg)
	m.disk.hardState.Commit = new(uint64(1))
	m.crash(0)
	m.settle()
	for m.snapshot != nil { // the first one covers little
		m.saveSnapshot()
		m.snapshotted()
		m.settle()
	}
	write := m.propose()
	m.settle()
	if got := m.answers[write]; got.err != nil {
		t.Fatalf("refused: %+v", got)
	}
}

// A full log is reported once, and so is that there is room again.
func TestFullLogIsReportedOnce(t *testing.T) {
	m := leading(t, littleMemory)
	for round := range 2 {
		m.fullness = nil
		for range 2 * maxSince / 40 {
			m.propose()
			m.settle()
		}
		if len(m.fullness) != 1 || !m.fullness[0].Full || m.fullness[0].Bytes < maxSince {
			t.Fatalf("round %d: when it is full it says %+v", round, m.fullness)
		}
		m.fullness = nil
		for m.snapshot != nil {
			m.saveSnapshot()
			m.snapshotted()
			m.settle()
		}
		if len(m.fullness) != 1 || m.fullness[0].Full || m.fullness[0].Bytes >= maxSince {
			t.Fatalf("round %d: when there is room again it says %+v", round, m.fullness)
		}
	}
}
