package raftnode_test

import (
	"bytes"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

func TestSingleMachineLeadsAtOnce(t *testing.T) {
	m := fresh(t)
	m.settle()
	if want := (raftnode.Leader{ID: self, Term: 2, Self: true}); m.leader != want {
		t.Fatalf("got leader %+v, want %+v", m.leader, want)
	}
	if want := []record{{1, bootstrap}}; !slices.Equal(m.state, want) {
		t.Fatalf("got entries %v, want %v", m.state, want)
	}
	m.wantHandedOut(2)

	write := m.propose()
	m.settle()
	m.wantAnswer(write, answer{index: 3})

	want := raftnode.Status{MemberID: self, Leader: self, Term: 2, Commit: 3, Applied: 3, Voters: []uint64{self}, State: raft.StateLeader}
	if got := m.node.Status(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestProposalsWaitForALeader(t *testing.T) {
	m := fresh(t)
	first, second := m.propose(), m.propose()
	m.settle()
	m.wantAnswer(first, answer{index: 3})
	m.wantAnswer(second, answer{index: 4})
}

func TestDurableBeforeHandedOut(t *testing.T) {
	m := leading(t)
	write, read := m.propose(), m.read()
	m.work()
	m.wantOpen(write)
	m.wantAnswer(read, answer{}) // independent of the write
	later := m.propose()
	m.work()
	if len(m.wal) != 2 {
		t.Fatalf("%d writes wait, want 2", len(m.wal))
	}
	m.tick(3)
	m.work()
	m.wantOpen(write, later)

	m.sync(1)
	m.work()
	m.wantAnswer(write, answer{index: 3})
	m.wantOpen(later)

	m.settle()
	m.wantAnswer(later, answer{index: 4})
}

func TestProposalsAreBatchedIntoOneAppend(t *testing.T) {
	m := leading(t)
	for range 100 {
		m.propose()
	}
	m.work()
	if len(m.wal) != 1 || len(m.wal[0].Entries) != 100 {
		t.Fatalf("%d writes, want 1 of 100 entries", len(m.wal))
	}
	m.sync(1)
	m.work()
	if len(m.open) > 0 {
		t.Fatalf("%d proposals are not answered", len(m.open))
	}
}

func TestEmptyCommands(t *testing.T) {
	m := leading(t)
	m.node.Propose(nil, nil)
	at := m.now().Mono
	m.work()
	m.sync(1)
	w, _ := m.node.Work(m.now())
	if w.Apply == nil || len(w.Apply.Entries) != 1 {
		t.Fatalf("got %+v, want an entry", w.Apply)
	}
	if e := w.Apply.Entries[0]; e.Index != 3 || e.Now != at+1 || len(e.Command) != 0 || e.Token != nil {
		t.Fatalf("got entry %+v", e)
	}
}

func TestRequestsTimeOut(t *testing.T) {
	// The outcome of a request that gets no further than the case says.
	for _, c := range []struct {
		name  string
		start func(t *testing.T) *machine
		want  error
	}{
		{"hung disk before the first election", func(t *testing.T) *machine { return fresh(t) }, raftnode.ErrNoLeader},
		{"two of three machines down", oneOfThree, raftnode.ErrNoLeader},
		{"hung disk of the leader", func(t *testing.T) *machine { return leading(t) }, raftnode.ErrUnknownOutcome},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.start(t)
			write := m.propose()
			m.work()
			m.tick(m.cfg.RequestTicks - 1)
			later := m.propose()
			m.work()
			m.wantOpen(write, later)
			m.tick(1)
			m.work()
			m.wantAnswer(write, answer{err: c.want})
			m.wantOpen(later)
			m.tick(m.cfg.RequestTicks - 2)
			m.work()
			m.wantOpen(later)
			m.tick(1)
			m.work()
			m.wantAnswer(later, answer{err: c.want})
		})
	}
}

// oneOfThree starts a member of a cluster whose other members are down.
func oneOfThree(t *testing.T) *machine {
	m := fresh(t)
	node, err := raftnode.New(m.cfg, raftnode.State{
		HardState: &raftpb.HardState{Term: new(uint64(3)), Vote: new(uint64(0)), Commit: new(uint64(9))},
		Snapshot: &raftpb.SnapshotMetadata{
			Index: new(uint64(9)), Term: new(uint64(3)), ConfState: &raftpb.ConfState{Voters: []uint64{self, 8, 9}},
		},
	}, m.now())
	if err != nil {
		t.Fatal(err)
	}
	m.node = node
	return m
}

func TestTimedOutWriteMayTakeEffect(t *testing.T) {
	m := leading(t)
	write := m.propose()
	m.work()
	m.tick(m.cfg.RequestTicks)
	m.work()
	m.wantAnswer(write, answer{err: raftnode.ErrUnknownOutcome})

	m.settle()
	if want := []record{{1, bootstrap}, {3, write.command}}; !slices.Equal(m.state, want) {
		t.Fatalf("got entries %v, want %v", m.state, want)
	}
}

func TestWriteRefusedWithoutLeaderNeverTakesEffect(t *testing.T) {
	m := fresh(t)
	m.propose()
	m.tick(m.cfg.RequestTicks)
	m.settle()
	m.wantHandedOut(2)
}

func TestTooManyRequests(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(m *machine) *ticket
	}{
		{"proposals", (*machine).propose},
		{"reads", (*machine).read},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fresh(t)
			tickets := make([]*ticket, raftnode.MaxWaiting+1)
			for i := range tickets {
				tickets[i] = c.ask(m)
			}
			m.work()
			m.wantAnswer(tickets[raftnode.MaxWaiting], answer{err: raftnode.ErrOverloaded})
			if len(m.open) != raftnode.MaxWaiting {
				t.Fatalf("%d requests wait, want %d", len(m.open), raftnode.MaxWaiting)
			}
			m.settle()
			for _, ticket := range tickets[:raftnode.MaxWaiting] {
				if got, ok := m.answers[ticket]; !ok || got.err != nil {
					t.Fatalf("request %d: answered %t, %+v", ticket.number, ok, got)
				}
			}
			another := c.ask(m)
			m.settle()
			if err := m.answers[another].err; err != nil {
				t.Fatalf("once there is room again: %v", err)
			}
		})
	}
}

func TestUncommittedLogIsBounded(t *testing.T) {
	m := leading(t)
	const size, envelope = 4 << 20, 17
	command := bytes.Repeat([]byte("x"), size)
	propose := func() *ticket {
		ticket := m.ticket(string(command))
		m.node.Propose(command, ticket)
		return ticket
	}
	const fit = raftnode.MaxUncommittedBytes / (size + envelope)
	var tickets []*ticket
	for range fit + 2 {
		tickets = append(tickets, propose())
	}
	m.refused = nil // all commands are equal here
	for {
		w, ok := m.node.Work(m.now())
		if !ok {
			break
		}
		if w.Append != nil {
			m.wal = append(m.wal, w.Append)
		}
		for _, f := range w.Failed {
			m.answer(f.Token.(*ticket), answer{err: f.Err})
		}
	}
	m.wantOpen(tickets[:fit]...)
	m.wantAnswer(tickets[fit], answer{err: raftnode.ErrOverloaded})
	m.wantAnswer(tickets[fit+1], answer{err: raftnode.ErrOverloaded})

	// They are committed at once, but handed out only as fast as they are applied.
	m.sync(len(m.wal))
	m.work()
	read := m.read()
	for len(m.store) > 0 {
		m.work()
		bytes := 0
		for _, a := range m.store {
			for _, e := range a.Entries {
				bytes += len(e.Command)
			}
		}
		if bytes > raftnode.MaxApplyingBytes+size {
			t.Fatalf("%d bytes are handed out and not applied", bytes)
		}
		if m.handedOut < 2+fit {
			m.wantOpen(read) // its index is that of the last committed entry
		}
		m.apply(1)
		m.work()
	}
	for i, ticket := range tickets[:fit] {
		m.wantAnswer(ticket, answer{index: uint64(3 + i)})
	}
	m.wantAnswer(read, answer{})

	again := propose()
	m.settle()
	m.wantAnswer(again, answer{index: 3 + fit})
}

func TestBootstrapNeedsEmptyLog(t *testing.T) {
	m := leading(t)
	m.crash(0)
	if err := m.node.Bootstrap([]raftnode.Founder{{ID: m.cfg.MemberID, Command: []byte("again")}}); err == nil {
		t.Fatal("a second bootstrap is accepted")
	}
	m.settle()
	if want := []record{{1, bootstrap}}; !slices.Equal(m.state, want) {
		t.Fatalf("got entries %v, want %v", m.state, want)
	}
}

// An entry that this program cannot decode must stop it: a machine that skips one diverges
// from the others.
func TestUnappliableEntries(t *testing.T) {
	valid := []byte("\x01........########command")
	for _, c := range []struct {
		name  string
		entry *raftpb.Entry
		want  string
	}{
		{"envelope", &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Data: append([]byte{2}, valid[1:]...)}, "start the version that wrote it"},
		{"truncated", &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Data: valid[:16]}, "shorter than its envelope"},
		{"type", &raftpb.Entry{Type: raftpb.EntryConfChangeV2.Enum()}, "needs a newer version"},
		{"membership", &raftpb.Entry{Type: raftpb.EntryConfChange.Enum(), Data: []byte{0xff}}, "conf change"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := leading(t)
			c.entry.Index, c.entry.Term = new(uint64(3)), new(uint64(2))
			m.disk.entries = append(m.disk.entries, c.entry)
			m.disk.hardState.Commit = new(uint64(3))
			m.crash(0)
			m.work()
			if u := m.unappliable; u == nil || !strings.HasPrefix(u.Error(), "entry 3 of term 2 ") || !strings.Contains(u.Error(), c.want) || !bytes.Equal(u.Data, c.entry.Data) {
				t.Fatalf("got %v, want entry 3 and %q", u, c.want)
			}
			if m.handedOut > 2 {
				t.Fatalf("entry %d is handed out", m.handedOut)
			}
		})
	}
}

func TestInconsistentState(t *testing.T) {
	m := leading(t)
	m.disk.hardState.Commit = new(uint64(4)) // of two entries
	defer func() {
		if got, ok := recover().(string); !ok || !strings.Contains(got, "commit") {
			t.Fatalf("got %q", got)
		}
	}()
	m.crash(0)
	t.Fatal("the state is accepted")
}

// Raft logs nothing at Info or above in an ordinary start.
func TestRaftLogsNothingAboveDebug(t *testing.T) {
	var info, debug bytes.Buffer
	for buffer, level := range map[*bytes.Buffer]slog.Level{&info: slog.LevelInfo, &debug: slog.LevelDebug} {
		leading(t, func(c *raftnode.Config) {
			c.Log = slog.New(slog.NewTextHandler(buffer, &slog.HandlerOptions{Level: level}))
		})
	}
	if info.Len() > 0 {
		t.Errorf("at level Info:\n%s", &info)
	}
	if !strings.Contains(debug.String(), "became leader at term 2") {
		t.Errorf("at level Debug:\n%s", &debug)
	}
}

// An election that is repeated does not change the reported leader; the harness fails if the
// same leader is reported twice.
func TestLeaderIsReportedOnce(t *testing.T) {
	m := fresh(t)
	m.settleUntil(func() bool { return m.node.Status().State == raft.StateCandidate })
	m.tick(2 * m.cfg.ElectionTicks)
	m.work()
	if state := m.node.Status().State; state != raft.StatePreCandidate {
		t.Fatalf("the election does not begin again: %v", state)
	}
	m.settle()
	if !m.leader.Self {
		t.Fatalf("got leader %+v", m.leader)
	}
}
