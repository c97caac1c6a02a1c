package raftnode_test

import "testing"

func TestReadsNeedNoLogEntry(t *testing.T) {
	m := leading(t)
	read := m.read()
	m.work()
	m.wantAnswer(read, answer{})
	if len(m.wal) != 0 {
		t.Fatalf("a read writes %d times", len(m.wal))
	}
}

func TestReadsWaitForALeader(t *testing.T) {
	m := fresh(t)
	read := m.read()
	m.settleUntil(func() bool {
		if m.handedOut < 2 {
			m.wantOpen(read)
		}
		return m.handedOut == 2
	})
	m.wantAnswer(read, answer{})
}

func TestReadsAreBatched(t *testing.T) {
	m := leading(t)
	for range 100 {
		m.read()
	}
	w, ok := m.node.Work(m.now())
	if !ok || len(w.Reads) != 100 {
		t.Fatalf("%d reads are released at once, want 100", len(w.Reads))
	}
	for i, token := range w.Reads {
		if token.(*ticket).number != i+1 {
			t.Fatalf("read %d is released at place %d", token.(*ticket).number, i+1)
		}
	}
	if w, ok := m.node.Work(m.now()); ok {
		t.Fatalf("there is more: %+v", w)
	}
}

func TestReadSeesConcurrentCommit(t *testing.T) {
	m := leading(t)
	write := m.propose()
	m.work()
	m.sync(1)
	read := m.read()
	m.work()
	m.wantAnswer(write, answer{index: 3})
	m.wantAnswer(read, answer{})
}

// The commit index on disk may lag behind what was acknowledged: nothing waits for it to be
// durable. A machine that starts from such a log knows what was committed before only when an
// entry of its new term is committed.
func TestReadAfterRestartSeesAckedWrites(t *testing.T) {
	m := leading(t)
	var writes []*ticket
	for range 3 {
		writes = append(writes, m.propose())
		m.work()
		m.sync(len(m.wal))
	}
	m.work()
	for i, write := range writes {
		m.wantAnswer(write, answer{index: uint64(3 + i)})
	}
	m.crash(0)
	if commit := m.disk.hardState.GetCommit(); commit >= m.acknowledged {
		t.Fatalf("the log knows of commit %d, acknowledged is %d: not the case this is about", commit, m.acknowledged)
	}

	early := m.read()
	ledOpen := false
	m.settleUntil(func() bool {
		if m.handedOut == 6 {
			return true
		}
		m.wantOpen(early)
		if m.leader.Self {
			late := m.read()
			m.work()
			m.wantOpen(early, late)
			ledOpen = true
		}
		return false
	})
	if !ledOpen {
		t.Fatal("no read was asked of a leader without an entry of its own term")
	}
	m.wantHandedOut(6) // three writes, and the entry of the new term
	if len(m.open) > 0 {
		t.Fatalf("%d reads are not answered", len(m.open))
	}
}

func TestReadWaitingForNewTermTimesOut(t *testing.T) {
	m := leading(t)
	m.crash(0)
	m.settleUntil(func() bool { return m.leader.Self })
	read := m.read()
	m.tick(m.cfg.RequestTicks - 1)
	m.work()
	m.wantOpen(read)
	m.tick(1)
	m.work()
	if err := m.answers[read].err; err == nil {
		t.Fatalf("got %+v, want a failure", m.answers[read])
	}
	m.settle()
	later := m.read()
	m.work()
	m.wantAnswer(later, answer{})
}
