package raftnode_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

const (
	self      = 7
	bootstrap = "bootstrap"
	// maxCommand bounds commands in tests; "garbage" is one that cannot be applied.
	maxCommand = 80 << 20
	garbage    = "garbage"
)

// reporter is what both testing.T and rapid.T can do.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// ticket is the token of one request.
type ticket struct {
	number   int
	command  string // empty for a read
	proposed uint64 // when, by the clock of the machine
	asked    int    // when, in ticks
	mustSee  uint64 // of a read: the newest entry acknowledged before it
}

// answer is the outcome of a request.
type answer struct {
	index uint64 // of the entry; 0 for a read
	err   error
}

// record is one entry as applied by the store.
type record struct {
	index   uint64
	command string
}

// machine simulates the log writer and the store of one machine and decides when each of
// them makes progress. It continuously checks what the node promises.
type machine struct {
	t    reporter
	cfg  raftnode.Config
	node *raftnode.Node

	wal       []*raftnode.Append // handed out, not durable yet
	reported  uint64             // index up to which entries were reported as durable
	store     []*raftnode.Apply  // handed out, not reported as applied yet
	state     []record           // applied by this process
	handedOut uint64
	applied   uint64
	snapshot  *snapshot // requested, and not reported as durable yet
	leader    raftnode.Leader
	readBack  []uint64 // the first entry of each time
	skipped   []raftnode.Skipped
	fullness  []raftnode.Fullness
	// unappliable is the entry at which the process had to end.
	unappliable *raftnode.Unappliable
	ticks       int
	open        map[*ticket]bool
	newest      int // number of the newest proposal that was acknowledged

	// The following survives crashes.
	disk         disk
	lives        uint64
	clock        uint64
	tickets      int
	answers      map[*ticket]answer
	log          []record // the longest state of any process
	acknowledged uint64   // index of the newest entry that was acknowledged
	refused      map[string]bool
}

func testConfig() raftnode.Config {
	return raftnode.Config{
		MemberID:       self,
		ElectionTicks:  10,
		HeartbeatTicks: 1,
		RequestTicks:   20,
		MaxCommand:     maxCommand,
		Log:            slog.New(slog.DiscardHandler),
	}
}

// fresh starts a machine on an empty disk.
func fresh(t reporter, change ...func(*raftnode.Config)) *machine {
	t.Helper()
	m := &machine{t: t, cfg: testConfig(), answers: map[*ticket]answer{}, refused: map[string]bool{}}
	for _, c := range change {
		c(&m.cfg)
	}
	m.start()
	return m
}

// leading starts a machine on an empty disk and lets it become leader.
func leading(t reporter, change ...func(*raftnode.Config)) *machine {
	t.Helper()
	m := fresh(t, change...)
	m.settle()
	if !m.leader.Self {
		t.Fatalf("a machine alone does not lead: %+v", m.leader)
	}
	return m
}

// start starts a process from the disk.
func (m *machine) start() {
	m.t.Helper()
	m.lives++
	m.cfg.FirstProposalID = m.lives << 32
	m.wal, m.store, m.snapshot, m.open = nil, nil, nil, map[*ticket]bool{}
	m.leader, m.ticks, m.newest = raftnode.Leader{}, 0, 0
	m.state, m.handedOut = nil, 0
	if s := m.disk.snapshot; s != nil {
		m.state, m.handedOut = slices.Clone(m.log[:s.records]), s.meta.GetIndex()
	}
	m.applied, m.reported = m.handedOut, m.disk.last()
	node, err := raftnode.New(m.cfg, m.disk.state(m.cfg), m.now())
	if err != nil {
		m.t.Fatalf("start: %v", err)
	}
	m.node = node
	if m.reported == 0 {
		if err := node.Bootstrap([]raftnode.Founder{{ID: m.cfg.MemberID, Command: []byte(bootstrap)}}); err != nil {
			m.t.Fatalf("%v", err)
		}
	}
}

// crash ends the process and starts the next one. Of the writes in flight, the first few
// survive.
func (m *machine) crash(kept int) {
	m.t.Helper()
	for _, a := range m.wal[:kept] {
		m.disk.write(a)
	}
	m.start()
}

func (m *machine) ticket(command string) *ticket {
	m.tickets++
	t := &ticket{number: m.tickets, command: command, asked: m.ticks, mustSee: m.acknowledged}
	m.open[t] = true
	return t
}

// propose proposes a unique command.
func (m *machine) propose() *ticket {
	t := m.ticket(fmt.Sprintf("command %d", m.tickets+1))
	t.proposed = m.clock
	m.node.Propose([]byte(t.command), t)
	return t
}

func (m *machine) read() *ticket {
	t := m.ticket("")
	m.node.Read(t)
	return t
}

func (m *machine) tick(n int) {
	for range n {
		m.ticks++
		m.node.Tick()
	}
}

func (m *machine) now() raftnode.Reading {
	m.clock++
	return raftnode.Reading{Mono: m.clock, Wall: m.clock}
}

// work takes and checks all work that the node has ready.
func (m *machine) work() {
	m.t.Helper()
	for range 10_000 {
		w, ok := m.node.Work(m.now())
		if ok {
			m.accept(w)
			continue
		}
		for t := range m.open {
			if m.ticks-t.asked >= m.cfg.RequestTicks {
				m.t.Fatalf("request %d has waited %d ticks", t.number, m.ticks-t.asked)
			}
		}
		return
	}
	m.t.Fatalf("there is always more work")
}

// sync makes the first n writes durable and reports that. Writes that are not urgent need
// not be reported.
func (m *machine) sync(n int) {
	m.t.Helper()
	batch := m.wal[:n]
	m.wal = m.wal[n:]
	for _, a := range batch {
		m.disk.write(a)
	}
	for _, a := range batch {
		if !a.Urgent {
			continue
		}
		m.reported += uint64(len(a.Entries))
		if err := m.node.Appended(a); err != nil {
			m.t.Fatalf("Appended: %v", err)
		}
	}
}

// apply reports the first n runs of entries as applied.
func (m *machine) apply(n int) {
	m.t.Helper()
	for _, a := range m.store[:n] {
		m.applied = a.Last
		if err := m.node.Applied(a); err != nil {
			m.t.Fatalf("Applied: %v", err)
		}
	}
	m.store = m.store[n:]
}

// settle does everything that can be done without time passing, except for snapshots.
func (m *machine) settle() {
	m.t.Helper()
	m.settleUntil(func() bool { return len(m.wal)+len(m.store) == 0 })
}

// settleUntil does so step by step, until done.
func (m *machine) settleUntil(done func() bool) {
	m.t.Helper()
	for range 1000 {
		m.work()
		if done() {
			return
		}
		m.sync(len(m.wal))
		m.apply(len(m.store))
	}
	m.t.Fatalf("it does not come to rest: %+v", m.node.Status())
}

// saveSnapshot writes the requested snapshot; from then on it survives a crash.
func (m *machine) saveSnapshot() {
	m.snapshot.saved = true
	m.disk.snapshot = m.snapshot
}

// snapshotted reports the snapshot as durable.
func (m *machine) snapshotted() {
	m.t.Helper()
	if err := m.node.Snapshotted(m.snapshot.meta, uint64(m.snapshot.records)); err != nil {
		m.t.Fatalf("Snapshotted: %v", err)
	}
	m.snapshot = nil
}

func (m *machine) accept(w raftnode.Work) {
	m.t.Helper()
	if w.Leader != nil {
		if *w.Leader == m.leader {
			m.t.Fatalf("the same leader is reported again: %+v", m.leader)
		}
		m.leader = *w.Leader
	}
	if w.Fullness != nil {
		m.fullness = append(m.fullness, *w.Fullness)
	}
	m.skipped = append(m.skipped, w.Skipped...)
	if w.Unappliable != nil {
		m.unappliable = w.Unappliable
	}
	if w.Append != nil {
		m.acceptAppend(w.Append)
	}
	if w.Apply != nil {
		m.acceptApply(w.Apply)
	}
	if r := w.ReadBack; r != nil {
		m.readBack = append(m.readBack, r.From)
		if err := m.node.ReadBackDone(r.From, m.disk.read(r)); err != nil {
			m.t.Fatalf("%v", err)
		}
	}
	for _, token := range w.Reads {
		t := token.(*ticket)
		if m.handedOut < t.mustSee {
			m.t.Fatalf("read %d is released at entry %d, but entry %d was acknowledged before it", t.number, m.handedOut, t.mustSee)
		}
		m.answer(t, answer{})
	}
	if w.TakeSnapshot != nil {
		m.acceptSnapshot(w.TakeSnapshot)
	}
	for _, f := range w.Failed {
		t := f.Token.(*ticket)
		m.answer(t, answer{err: f.Err})
		if t.command != "" && f.Err != raftnode.ErrUnknownOutcome {
			m.refused[t.command] = true
		}
	}
}

func (m *machine) acceptAppend(a *raftnode.Append) {
	m.t.Helper()
	last, hs := m.disk.last(), m.disk.hardState
	for _, earlier := range m.wal {
		last += uint64(len(earlier.Entries))
		if earlier.HardState != nil {
			hs = earlier.HardState
		}
	}
	for _, e := range a.Entries {
		last++
		if e.GetIndex() != last {
			m.t.Fatalf("entry %d is appended where %d comes next", e.GetIndex(), last)
		}
	}
	// The entry of a bootstrap is the only one that is committed before it is durable.
	if commit := a.HardState.GetCommit(); commit > max(m.reported, 1) {
		m.t.Fatalf("commit %d is to be written, but only %d is known to be durable", commit, m.reported)
	}
	m.wal = append(m.wal, a)
	if !a.Urgent && (len(a.Entries) > 0 || a.HardState.GetTerm() != hs.GetTerm() || a.HardState.GetVote() != hs.GetVote()) {
		m.t.Fatalf("a write of %d entries and hard state %v (was %v) is not urgent", len(a.Entries), a.HardState, hs)
	}
}

func (m *machine) acceptApply(a *raftnode.Apply) {
	m.t.Helper()
	if a.Last <= m.handedOut || a.Last > m.reported {
		m.t.Fatalf("entries up to %d are handed out after %d, while %d is known to be durable", a.Last, m.handedOut, m.reported)
	}
	for _, e := range a.Entries {
		if e.Index <= m.handedOut || e.Index > a.Last {
			m.t.Fatalf("entry %d is handed out between %d and %d", e.Index, m.handedOut, a.Last)
		}
		m.handedOut = e.Index
		command := string(e.Command)
		if m.refused[command] {
			m.t.Fatalf("%q is entry %d, but its proposer was told that it was not proposed", command, e.Index)
		}
		r := record{e.Index, command}
		switch at := len(m.state); {
		case at == len(m.log):
			m.log = append(m.log, r)
		case m.log[at] != r:
			m.t.Fatalf("a life before applied %+v where this one has %+v", m.log[at], r)
		}
		m.state = append(m.state, r)
		if e.Token == nil {
			continue
		}
		t := e.Token.(*ticket)
		if t.command != command || t.proposed >= e.Now {
			m.t.Fatalf("entry %d is %q of %d, its token %q of %d", e.Index, command, e.Now, t.command, t.proposed)
		}
		if t.number < m.newest {
			m.t.Fatalf("proposal %d comes after proposal %d", t.number, m.newest)
		}
		m.newest, m.acknowledged = t.number, e.Index
		m.answer(t, answer{index: e.Index})
	}
	m.handedOut = a.Last
	m.store = append(m.store, a)
}

func (m *machine) acceptSnapshot(meta *raftpb.SnapshotMetadata) {
	m.t.Helper()
	if m.snapshot != nil {
		m.t.Fatalf("a snapshot at %d is asked for while the one at %d is not durable", meta.GetIndex(), m.snapshot.meta.GetIndex())
	}
	if meta.GetIndex() != m.handedOut || meta.GetTerm() != m.disk.entries[m.handedOut-1].GetTerm() {
		m.t.Fatalf("the snapshot at entry %v is asked for at %d", meta, m.handedOut)
	}
	if !slices.Equal(meta.GetConfState().GetVoters(), []uint64{self}) {
		m.t.Fatalf("the snapshot has members %v", meta.GetConfState())
	}
	m.snapshot = &snapshot{meta: meta, records: len(m.state)}
}

func (m *machine) answer(t *ticket, a answer) {
	m.t.Helper()
	if !m.open[t] {
		m.t.Fatalf("request %d is answered twice, or by another life of the machine", t.number)
	}
	delete(m.open, t)
	m.answers[t] = a
}

// wantAnswer checks the outcome of a request.
func (m *machine) wantAnswer(t *ticket, want answer) {
	m.t.Helper()
	if got, ok := m.answers[t]; !ok || got != want {
		m.t.Fatalf("request %d: got %+v (answered: %t), want %+v", t.number, got, ok, want)
	}
}

func (m *machine) wantOpen(tickets ...*ticket) {
	m.t.Helper()
	for _, t := range tickets {
		if !m.open[t] {
			m.t.Fatalf("request %d is answered: %+v", t.number, m.answers[t])
		}
	}
}

func (m *machine) wantHandedOut(index uint64) {
	m.t.Helper()
	if m.handedOut != index {
		m.t.Fatalf("entries up to %d are handed out, want %d", m.handedOut, index)
	}
}

// The harness reports to the kind of test that drives it.
var _ reporter = (*testing.T)(nil)

// checkCommand is the check of commands that are forwarded.
func checkCommand(command []byte) error {
	if strings.HasPrefix(string(command), garbage) {
		return errors.New("it is garbage")
	}
	return nil
}
