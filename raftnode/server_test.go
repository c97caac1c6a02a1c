package raftnode_test

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
)

// server is one machine of a cluster, with a log writer and a store that make progress when
// told to. What it has applied is a prefix of the cluster's log.
type server struct {
	c    *cluster
	id   uint64
	cfg  raftnode.Config
	node *raftnode.Node // nil while it is down

	wal         []*raftnode.Append // handed out, not durable yet
	store       []*raftnode.Apply  // handed out, not reported as applied yet
	handedOut   uint64
	records     int // of the cluster's log that were handed out
	snapshot    *snapshot
	leader      raftnode.Leader
	leaderless  []raftnode.Leaderless
	diskStalled int // how often a stalled disk was reported
	ticks       int
	open        map[*ticket]bool
	installs    int    // how many snapshots of a leader were installed
	removed     bool   // it was told so, or the test knows it
	removal     uint64 // index of its removal; 0: none that it knows of
	stuck       bool   // its log writer does nothing unless told to
	lazy        bool   // it saves no snapshots unless told to
	unread      bool   // it reads nothing back unless told to
	asked       *raftnode.ReadBack
	readBacks   int    // how often it was asked to read back
	started     uint64 // true time of the start of the process

	// The following survives crashes.
	disk  serverDisk
	lives uint64
	skew  int64 // of the wall clock, in nanoseconds
}

// serverDisk is what survives a crash of a machine whose log can be overwritten.
type serverDisk struct {
	hardState *raftpb.HardState
	base      uint64 // index of the snapshot of a leader before the entries
	entries   []*raftpb.Entry
	snapshot  *snapshot
}

func (d *serverDisk) write(c *cluster, a *raftnode.Append) {
	c.t.Helper()
	if a.HardState != nil {
		d.hardState = a.HardState
	}
	if a.Snapshot != nil {
		d.snapshot = &snapshot{meta: a.Snapshot, records: c.recordsUpTo(a.Snapshot.GetIndex())}
		d.base, d.entries = a.Snapshot.GetIndex(), nil
	}
	if len(a.Entries) == 0 {
		return
	}
	first := a.Entries[0].GetIndex()
	if first <= d.base || first > d.base+uint64(len(d.entries))+1 {
		c.t.Fatalf("entry %d is appended to a log of %d..%d", first, d.base+1, d.base+uint64(len(d.entries)))
	}
	d.entries = append(slices.Clip(d.entries[:first-d.base-1]), a.Entries...)
}

func (d *serverDisk) state(c *cluster, cfg raftnode.Config) raftnode.State {
	state := raftnode.State{Entries: slices.Clone(d.entries), Terms: termsOf(d.entries), Last: d.base + uint64(len(d.entries))}
	if d.hardState != nil {
		state.HardState = proto.Clone(d.hardState).(*raftpb.HardState)
	}
	if d.snapshot != nil {
		index := d.snapshot.meta.GetIndex()
		state.Snapshot, state.Time = d.snapshot.meta, c.timeAt(index)
		state.Entries = state.Entries[index-d.base:]
		state.HardState.Commit = new(max(index, state.HardState.GetCommit()))
	}
	state.Entries = newest(state.Entries, cfg)
	return state
}

// start starts a process from the disk.
func (s *server) start() {
	s.c.t.Helper()
	s.lives++
	s.started = s.c.now()
	s.cfg.FirstProposalID = s.id<<48 | s.lives<<32
	s.wal, s.store, s.snapshot, s.open = nil, nil, nil, map[*ticket]bool{}
	s.leader, s.ticks, s.handedOut, s.records, s.asked = raftnode.Leader{}, 0, 0, 0, nil
	if d := s.disk.snapshot; d != nil {
		s.handedOut, s.records = d.meta.GetIndex(), d.records
	}
	node, err := raftnode.New(s.cfg, s.disk.state(s.c, s.cfg), s.reading())
	if err != nil {
		s.c.t.Fatalf("start: %v", err)
	}
	s.node = node
	s.node.SetRoster(rosterOf(s.c.log[:s.records]))
}

// crash ends the process. Of the writes in flight, the first few survive.
func (s *server) crash(kept int) {
	s.c.t.Helper()
	for _, a := range s.wal[:kept] {
		s.disk.write(s.c, a)
	}
	s.wal, s.store, s.snapshot, s.open, s.node = nil, nil, nil, nil, nil
}

func (s *server) propose() *ticket {
	t := s.c.ticket(s)
	t.command = s.c.name("command")
	s.node.Propose([]byte(t.command), t)
	return t
}

func (s *server) read() *ticket {
	t := s.c.ticket(s)
	s.node.Read(t)
	return t
}

func (s *server) tick(n int) {
	for range n {
		s.ticks++
		s.node.Tick()
	}
}

// work takes and checks all work that the node has ready.
func (s *server) work() {
	s.c.t.Helper()
	for range 10_000 {
		if s.node == nil {
			return
		}
		w, ok := s.node.Work(s.reading())
		if ok {
			s.accept(w)
			continue
		}
		for t := range s.open {
			if s.ticks-t.asked >= s.cfg.RequestTicks {
				s.c.t.Fatalf("request %d of %x has waited %d ticks", t.number, s.id, s.ticks-t.asked)
			}
		}
		return
	}
	s.c.t.Fatalf("there is always more work")
}

// sync makes the first n writes durable and reports that.
func (s *server) sync(n int) {
	s.c.t.Helper()
	batch := s.wal[:n]
	s.wal = s.wal[n:]
	for _, a := range batch {
		s.disk.write(s.c, a)
	}
	for _, a := range batch {
		if !a.Urgent {
			continue
		}
		if err := s.node.Appended(a); err != nil {
			s.c.t.Fatalf("Appended: %v", err)
		}
	}
}

// apply reports the first n runs of entries as applied.
func (s *server) apply(n int) {
	s.c.t.Helper()
	for _, a := range s.store[:n] {
		s.node.SetRoster(rosterOf(s.c.log[:s.c.recordsUpTo(a.Last)]))
		if err := s.node.Applied(a); err != nil {
			s.c.t.Fatalf("Applied: %v", err)
		}
	}
	s.store = s.store[n:]
}

// saveSnapshot writes the requested snapshot and reports it as durable.
func (s *server) saveSnapshot() {
	s.c.t.Helper()
	if s.disk.snapshot == nil || s.snapshot.meta.GetIndex() > s.disk.snapshot.meta.GetIndex() {
		s.disk.snapshot = s.snapshot
	}
	meta := s.snapshot.meta
	s.snapshot = nil
	if err := s.node.Snapshotted(meta, uint64(s.disk.snapshot.records)); err != nil {
		s.c.t.Fatalf("Snapshotted: %v", err)
	}
	if err := s.node.Release(meta.GetIndex() - min(meta.GetIndex(), s.c.retained)); err != nil {
		s.c.t.Fatalf("%v", err)
	}
}

// readBackDone answers the last request to read back.
func (s *server) readBackDone() {
	s.c.t.Helper()
	r := s.asked
	s.asked = nil
	if err := s.node.ReadBackDone(r.From, fitting(s.disk.entries[r.From-s.disk.base-1:], r.Bytes)); err != nil {
		s.c.t.Fatalf("%v", err)
	}
}

// maySnapshot reports whether the requested snapshot can be written: the store has applied its
// entry, and the log on disk reaches it as well.
func (s *server) maySnapshot() bool {
	return s.node != nil && s.snapshot != nil && len(s.store) == 0 &&
		s.snapshot.meta.GetIndex() <= s.disk.base+uint64(len(s.disk.entries))
}

func (s *server) accept(w raftnode.Work) {
	c := s.c
	c.t.Helper()
	if w.Leader != nil {
		s.acceptLeader(*w.Leader)
	}
	if w.Leaderless != nil {
		s.leaderless = append(s.leaderless, *w.Leaderless)
	}
	if w.DiskStalled {
		s.diskStalled++
	}
	if w.Append != nil {
		s.wal = append(s.wal, w.Append)
	}
	for _, m := range w.Messages {
		c.send(&packet{from: s.id, life: s.lives, to: m.GetTo(), message: proto.Clone(m).(*raftpb.Message), time: w.Time})
	}
	for _, f := range w.Forwards {
		c.send(&packet{from: s.id, life: s.lives, to: f.To, forward: f.Payload})
	}
	for _, r := range w.Rejects {
		c.send(&packet{from: s.id, life: s.lives, to: r.To, reject: r.Payload})
	}
	if w.Install != nil {
		if w.Install.GetIndex() <= s.handedOut {
			c.t.Fatalf("%x is to install a snapshot at %d, behind entry %d", s.id, w.Install.GetIndex(), s.handedOut)
		}
		s.installs++
		s.handedOut, s.records = w.Install.GetIndex(), c.recordsUpTo(w.Install.GetIndex())
		s.node.SetRoster(rosterOf(c.log[:s.records]))
		s.node.Reached(c.timeAt(w.Install.GetIndex()), s.reading())
	}
	if w.Apply != nil {
		s.acceptApply(w.Apply)
	}
	if r := w.ReadBack; r != nil {
		if r.From <= s.disk.base {
			c.t.Fatalf("%x is to read entry %d, and its log begins behind %d", s.id, r.From, s.disk.base)
		}
		s.asked = r
		s.readBacks++
		if !s.unread {
			s.readBackDone()
		}
	}
	if w.Install != nil || w.Apply != nil {
		s.wantRoster()
	}
	for _, token := range w.Reads {
		s.acceptRead(token.(*ticket))
	}
	if w.TakeSnapshot != nil {
		if w.TakeSnapshot.GetIndex() != s.handedOut || s.snapshot != nil {
			c.t.Fatalf("%x is asked for a snapshot %v at entry %d", s.id, w.TakeSnapshot, s.handedOut)
		}
		s.snapshot = &snapshot{meta: w.TakeSnapshot, records: s.records}
	}
	for _, f := range w.Failed {
		s.acceptFailure(f)
	}
	if w.Removed {
		s.removal = w.Apply.Last
	}
}

func (s *server) acceptLeader(l raftnode.Leader) {
	c := s.c
	c.t.Helper()
	if l == s.leader {
		c.t.Fatalf("the same leader is reported again: %+v", l)
	}
	s.leader = l
	if l.ID == 0 {
		return
	}
	if earlier, ok := c.leaders[l.Term]; ok && earlier != l.ID {
		c.t.Fatalf("both %x and %x lead in term %d", earlier, l.ID, l.Term)
	}
	c.leaders[l.Term] = l.ID
}

func (s *server) acceptApply(a *raftnode.Apply) {
	c := s.c
	c.t.Helper()
	if a.Last <= s.handedOut {
		c.t.Fatalf("%x is handed entries up to %d after %d", s.id, a.Last, s.handedOut)
	}
	for _, e := range a.Entries {
		if e.Index <= s.handedOut || e.Index > a.Last {
			c.t.Fatalf("%x is handed entry %d between %d and %d", s.id, e.Index, s.handedOut, a.Last)
		}
		if command := string(e.Command); isChange(command) && s.disk.hardState.GetCommit() < e.Index {
			c.t.Fatalf("%x is handed entry %d (%q), and its disk only knows that %d is committed", s.id, e.Index, command, s.disk.hardState.GetCommit())
		}
		s.handedOut = e.Index
		c.record(s, record{e.Index, string(e.Command)})
		c.stamp(s, e)
		s.records++
		if e.Token == nil {
			continue
		}
		t := e.Token.(*ticket)
		if t.command != string(e.Command) {
			c.t.Fatalf("entry %d is %q, its token %q", e.Index, e.Command, t.command)
		}
		c.visible = max(c.visible, e.Index)
		s.answer(t, answer{index: e.Index})
	}
	s.handedOut = a.Last
	s.store = append(s.store, a)
}

// acceptRead checks that a read sees all that any client had seen when it was asked for.
func (s *server) acceptRead(t *ticket) {
	c := s.c
	c.t.Helper()
	if s.handedOut < t.mustSee {
		c.t.Fatalf("read %d is released by %x at entry %d, but entry %d was seen before it", t.number, s.id, s.handedOut, t.mustSee)
	}
	c.visible = max(c.visible, s.handedOut)
	s.answer(t, answer{})
}

func (s *server) acceptFailure(f raftnode.Failure) {
	s.c.t.Helper()
	t := f.Token.(*ticket)
	s.answer(t, answer{err: f.Err})
	if t.command == "" || f.Err == raftnode.ErrUnknownOutcome {
		return
	}
	s.c.refused[t.command] = true
	if index, ok := s.c.where[t.command]; ok {
		s.c.t.Fatalf("%q fails with %q, but it is entry %d", t.command, f.Err, index)
	}
}

func (s *server) answer(t *ticket, a answer) {
	s.c.t.Helper()
	if !s.open[t] {
		s.c.t.Fatalf("request %d is answered twice, or by another life or machine: %+v", t.number, a)
	}
	delete(s.open, t)
	s.c.answers[t] = a
}
