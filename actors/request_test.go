package actors

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store/tree"
	"etcd/wal"
	"etcd/watch"
)

func TestFirstClientCommandIsIndex3(t *testing.T) {
	m := start(t, t.TempDir())
	if index := m.set("/message", "Hello world"); index != 3 {
		t.Errorf("the first client command has index %d, want 3", index)
	}
}

func TestAnswersCarryTheID(t *testing.T) {
	m := start(t, t.TempDir())
	m.root.Send(m.Raft, &Propose{ID: 101, ReplyTo: m.pid, Command: set("/a", "1", 0)})
	if p := next[*Proposed](m.probe); p.ID != 101 || p.Err != nil || p.Result.Event.Node.Value != "1" {
		t.Errorf("propose: %+v", p)
	}
	m.root.Send(m.Raft, &Read{ID: 102, ReplyTo: m.pid, Path: "/a"})
	if r := next[*ReadReply](m.probe); r.ID != 102 || r.Index != 3 || r.Node == nil || r.Node.Value != "1" {
		t.Errorf("linearizable read: %+v", r)
	}
	m.root.Send(m.Store, &Read{ID: 103, ReplyTo: m.pid, Path: "/"})
	if r := next[*ReadReply](m.probe); r.ID != 103 || len(r.Children) != 2 || r.Children[1].Path != "/a" {
		t.Errorf("local read: %+v", r)
	}
	m.root.Send(m.Raft, &Read{ID: 104, ReplyTo: m.pid, Path: "/b/c"})
	if r := next[*ReadReply](m.probe); r.ID != 104 || r.Failure == nil || r.Failure.Code != tree.KeyNotFound || r.Index != 3 {
		t.Errorf("read of a missing key: %+v", r)
	}
	m.root.Send(m.Raft, &Sync{ID: 105, ReplyTo: m.pid})
	if s := next[*Synced](m.probe); s.ID != 105 || s.Err != nil {
		t.Errorf("sync: %+v", s)
	}
	m.watch(106, "/a", 3)
	if w := m.watched(); w.Watch != 106 || !w.Last || w.Event == nil || w.Event.Index != 3 {
		t.Errorf("watch: %+v", w)
	}
	m.root.Send(m.Raft, &Status{ID: 107, ReplyTo: m.pid})
	s := next[*StatusReply](m.probe)
	if s.ID != 107 || s.Raft.MemberID != 11 || s.Raft.Leader != 11 || s.LeaderSince == 0 || s.HistoryLimit != 1000 {
		t.Errorf("status: %+v", s)
	}
	if len(s.Members) != 1 || s.Members[0] != testMember {
		t.Errorf("status: members %+v, want %+v", s.Members, testMember)
	}
	if want := (Counts{SetsSuccess: 1, GetsSuccess: 2, GetsFail: 1}); s.Counts != want {
		t.Errorf("status: counts %+v, want %+v", s.Counts, want)
	}
}

func TestProposeWithoutAnswer(t *testing.T) {
	m := start(t, t.TempDir())
	m.root.Send(m.Raft, &Propose{Command: set("/a", "1", 0)})
	if index := m.set("/b", "2"); index != 4 {
		t.Errorf("index %d behind a proposal that nobody waits for, want 4", index)
	}
	if r := m.read(m.Raft, "/a"); r.Node == nil || r.Node.Value != "1" {
		t.Errorf("a proposal that nobody waits for was not applied: %+v", r)
	}
}

// A read, and a sync, leaves no trace in the log.
func TestReadsUseNoIndex(t *testing.T) {
	m := start(t, t.TempDir())
	m.set("/a", "1")
	for range 10 {
		m.read(m.Raft, "/a")
		m.read(m.Store, "/a")
		m.sync()
	}
	if index := m.set("/a", "2"); index != 4 {
		t.Errorf("index %d after reads, want 4", index)
	}
}

// A command that is refused in the log uses an index and is answered with its failure.
func TestRefusedCommand(t *testing.T) {
	m := start(t, t.TempDir())
	m.set("/a", "1")
	r := m.propose(set("/a/b", "2", 0))
	if r.Failure == nil || r.Failure.Code != tree.NotDir || r.Index != 4 {
		t.Errorf("set below a file: %+v", r)
	}
	if c := m.status().Counts; c.SetsSuccess != 1 || c.SetsFail != 1 {
		t.Errorf("counts %+v", c)
	}
}

// A client that is answered and then watches sees only later events; one that watches and then
// writes sees that write. Both hold for the very next step, while other writers keep the
// machine busy.
func TestWatchBeginsAtAnswer(t *testing.T) {
	m := start(t, t.TempDir())
	stop := make(chan struct{})
	noise := make(chan struct{})
	other := newProbe(t, m.System)
	go func() {
		defer close(noise)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			m.root.Send(m.Raft, &Propose{ReplyTo: other.pid, Command: set("/noise", fmt.Sprint(i), 0)})
			<-other.got
		}
	}()
	defer func() { close(stop); <-noise }()

	// This client starts its watch while the answer to its write is delivered, on the
	// goroutine of the sender, as sessions do.
	watched := make(chan *WatchReply, 1)
	written := make(chan uint64, 1)
	var id uint64
	hasty := m.root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch r := ctx.Message().(type) {
		case *Proposed:
			id++
			ctx.Send(m.Hub, &Watch{ReplyTo: ctx.Self(), Subscriber: 1<<40 + id, Watcher: watch.Watcher{ID: 1<<40 + id, Path: "/key"}})
			written <- r.Result.Index
		case *WatchReply:
			watched <- r
		}
	}, actor.WithDispatcher(actor.NewSynchronizedDispatcher(1))))
	for i := range 300 {
		m.root.Send(m.Raft, &Propose{ReplyTo: hasty, Command: set("/key", "old", 0)})
		old := <-written
		m.watch(uint64(i+1), "/key", 0)
		// The hub has both watches before it can hear of the next event.
		m.root.Send(m.Raft, &Propose{ReplyTo: m.pid, Command: set("/key", "new", 0)})
		var reply *Proposed
		var event watch.Delivery
		for range 2 {
			switch r := next[any](m.probe).(type) {
			case *Proposed:
				reply = r
			case *WatchReply:
				event = r.Deliveries[0]
			}
		}
		if event.Event == nil || event.Event.Index != reply.Result.Index {
			t.Fatalf("round %d: a watch that was there before the write of index %d got %+v", i, reply.Result.Index, event)
		}
		if w := <-watched; w.Deliveries[0].Event == nil || w.Deliveries[0].Event.Index != reply.Result.Index {
			t.Fatalf("round %d: a watch that began after the answer of index %d got %+v, want index %d", i, old, w.Deliveries[0].Event, reply.Result.Index)
		}
	}
	if n := m.Watchers(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}

func TestUnwatch(t *testing.T) {
	m := start(t, t.TempDir())
	m.watch(1, "/a", 0)
	m.watch(2, "/a", 0)
	m.root.Send(m.Hub, &Unwatch{Subscriber: 1})
	m.root.Send(m.Hub, &Unwatch{Subscriber: 99}) // unknown
	m.root.Send(m.Raft, &Propose{ReplyTo: other(m), Command: set("/a", "1", 0)})
	if w := m.watched(); w.Watch != 2 {
		t.Errorf("watch %d was answered, want 2", w.Watch)
	}
	m.sync()
	m.silent()
}

// other is a second probe, so that the messages of the first stay apart.
func other(m *testMachine) *actor.PID { return newProbe(m.t, m.System).pid }

func TestWatchOfClearedHistory(t *testing.T) {
	m := start(t, t.TempDir(), func(c *Config) { c.HistoryLimit = 2 })
	for range 5 {
		m.set("/a", "x")
	}
	m.watch(1, "/a", 3)
	w := m.watched()
	var cleared *watch.ClearedError
	if !errors.As(w.Err, &cleared) || !w.Last || cleared.Requested != 3 || cleared.Oldest != 6 {
		t.Errorf("watch from a dropped index: %+v", w)
	}
}

func TestCloseWatches(t *testing.T) {
	m := start(t, t.TempDir())
	m.watch(1, "/a", 0)
	m.watch(2, "/b", 50) // in the future
	m.CloseWatches()
	m.watch(3, "/c", 0) // later
	got := map[uint64]bool{}
	for range 3 {
		w := m.watched()
		if !errors.Is(w.Err, ErrClosing) || !w.Last || w.Event != nil {
			t.Errorf("%+v, want ErrClosing", w)
		}
		got[w.Watch] = true
	}
	if len(got) != 3 {
		t.Errorf("answered: %v", got)
	}
	m.set("/a", "1") // the machine still serves everything else
	m.silent()
	if n := m.Watchers(); n != 0 {
		t.Errorf("%d watchers", n)
	}
}

// gatedFS holds back the syncs of the log until the gate is opened.
func gatedFS(t *testing.T) (fsys *hookFS, shut, open func()) {
	fsys = &hookFS{FS: dirFS(t, t.TempDir())}
	var gate atomic.Pointer[chan struct{}]
	fsys.onSync(func(string) error {
		if g := gate.Load(); g != nil {
			<-*g
		}
		return nil
	})
	shut = func() { gate.Store(new(make(chan struct{}))) }
	open = func() {
		if g := gate.Swap(nil); g != nil {
			close(*g)
		}
	}
	t.Cleanup(open)
	return fsys, shut, open
}

// Nothing is acked, applied or visible before it is durable; reads go on meanwhile; and
// everything that came while the disk was busy is one write.
func TestDurableBeforeAcknowledged(t *testing.T) {
	fsys, shut, open := gatedFS(t)
	m := startOn(t, fsys, wal.Options{SegmentSize: 1 << 20})
	t.Cleanup(open) // before the stop of the machine, which waits for the disk
	m.set("/a", "old")
	before := fsys.syncs.Load()
	shut()
	writer := newProbe(t, m.System)
	m.root.Send(m.Raft, &Propose{ID: 1, ReplyTo: writer.pid, Command: set("/a", "new", 0)})
	for range 50 {
		if r := m.read(m.Store, "/a"); r.Node.Value != "old" || r.Index != 3 {
			t.Fatalf("a write that is not durable is visible: %+v", r.Node)
		}
		m.status() // answered through the raft actor
	}
	const more = 200
	for i := range more {
		m.root.Send(m.Raft, &Propose{ID: uint64(i + 2), ReplyTo: writer.pid, Command: set("/b", fmt.Sprint(i), 0)})
	}
	m.status() // the raft actor has them all
	writer.silent()
	open()
	for i := range more + 1 {
		if p := next[*Proposed](writer); p.Err != nil || p.ID != uint64(i+1) || p.Result.Index != uint64(4+i) {
			t.Fatalf("answer %d: %+v", i, p)
		}
	}
	if n := fsys.syncs.Load() - before; n > 10 {
		t.Errorf("%d syncs for %d writes of which all but one came while the disk was busy", n, more+1)
	}
}

// A proposal whose outcome is not known within the request timeout is answered once, with an
// error that says so, and may still take effect.
func TestUnknownOutcome(t *testing.T) {
	fsys, shut, open := gatedFS(t)
	m := startOn(t, fsys, wal.Options{SegmentSize: 1 << 20}, func(c *Config) { c.Raft.RequestTicks = 5 })
	t.Cleanup(open)
	shut()
	m.root.Send(m.Raft, &Propose{ID: 9, ReplyTo: m.pid, Command: set("/a", "1", 0)})
	if p := next[*Proposed](m.probe); p.ID != 9 || !errors.Is(p.Err, raftnode.ErrUnknownOutcome) {
		t.Errorf("%+v, want ErrUnknownOutcome", p)
	}
	open()
	m.eventually("the write takes effect", func() bool { return m.read(m.Store, "/a").Node != nil })
	m.silent()
}
