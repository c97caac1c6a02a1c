package actors

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/wal"
	"etcd/wal/vfs"
	"etcd/watch"
)

// patience bounds every wait of a test for something that must happen.
const patience = time.Minute

func TestMain(m *testing.M) {
	if kind := os.Getenv(childEnv); kind != "" {
		child(kind)
		return
	}
	goleak.VerifyTestMain(m, deadLetterTimer)
}

// deadLetterTimer is the library's: a message to an actor that has stopped starts a
// goroutine that ends by itself after a second.
var deadLetterTimer = goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1")

var (
	testIdentity = wal.Identity{ClusterID: 77, MemberID: 11}
	testMember   = store.Member{ID: 11, Name: "m1", PeerURL: "http://127.0.0.1:7001", ClientURL: "http://127.0.0.1:4001"}
)

// fakeClock is a wall time that moves only when it is told to.
type fakeClock struct{ now atomic.Uint64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.now.Store(uint64(logtime.Of(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))))
	return c
}

func (c *fakeClock) advance(d time.Duration) { c.now.Add(uint64(d)) }
func (c *fakeClock) time() logtime.Time      { return logtime.Time(c.now.Load()) }

func (c *fakeClock) read() raftnode.Reading {
	now := c.now.Load()
	return raftnode.Reading{Mono: now, Wall: now}
}

// running is a clock that runs and does not jump.
func running() raftnode.Reading {
	now := uint64(time.Since(began))
	return raftnode.Reading{Mono: now, Wall: uint64(logtime.Of(began)) + now}
}

var began = time.Now()

func testConfig() Config {
	log := slog.New(slog.DiscardHandler)
	return Config{
		Member:       testMember,
		HistoryLimit: 1000,
		Tick:         10 * time.Millisecond,
		Host: Process(func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("there are no other machines here")
		}),
		Clock: running,
		Log:   log,
		Raft: raftnode.Config{
			HeartbeatTicks: 1, ElectionTicks: 10, RequestTicks: 2000, MaxMembers: 9,
			SnapshotEntries: 0, SnapshotBytes: 64 << 20,
			FirstProposalID: uint64(time.Now().UnixNano()), Log: log,
		},
	}
}

// testMachine is a machine on a disk, and a probe that sends it requests.
type testMachine struct {
	*Machine
	*probe
	writes   int // of takeSnapshots
	stopOnce sync.Once
	stopErr  error
}

func dirFS(t testing.TB, dir string) vfs.FS {
	t.Helper()
	fsys, err := vfs.SharedDir(dir) // t.TempDir makes it as open as the umask lets it
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// startOn starts a machine and waits until it is ready.
func startOn(t testing.TB, fsys vfs.FS, opts wal.Options, edit ...func(*Config)) *testMachine {
	t.Helper()
	disk, err := openTestDisk(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	for _, e := range edit {
		e(&cfg)
	}
	machine, err := Start(cfg, disk)
	if err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	m := &testMachine{Machine: machine, probe: newProbe(t, machine.System)}
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case <-machine.Ready:
	case <-time.After(patience):
		t.Fatal("the machine did not become ready")
	}
	return m
}

func start(t testing.TB, dir string, edit ...func(*Config)) *testMachine {
	t.Helper()
	return startOn(t, dirFS(t, dir), wal.Options{SegmentSize: 1 << 20}, edit...)
}

func (m *testMachine) stop() error {
	m.stopOnce.Do(func() { m.stopErr = m.Stop(context.Background()) })
	return m.stopErr
}

// probe is an actor that collects what it is sent.
type probe struct {
	t    testing.TB
	root *actor.RootContext
	pid  *actor.PID
	got  chan any
}

func newProbe(t testing.TB, system *actor.ActorSystem) *probe {
	p := &probe{t: t, root: system.Root, got: make(chan any, 4096)}
	p.pid = system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case actor.SystemMessage, actor.AutoReceiveMessage:
		default:
			p.got <- m
		}
	}))
	return p
}

// next returns the next message, which has to be a T.
func next[T any](p *probe) T {
	p.t.Helper()
	select {
	case m := <-p.got:
		typed, ok := m.(T)
		if !ok {
			p.t.Fatalf("got %T %+v, want a %T", m, m, typed)
		}
		return typed
	case <-time.After(patience):
		var want T
		p.t.Fatalf("no %T came", want)
		return want
	}
}

// silent fails the test if a message has come. It is meaningful only behind a request whose
// answer comes after the message in question.
func (p *probe) silent() {
	p.t.Helper()
	select {
	case m := <-p.got:
		p.t.Fatalf("unexpected %T %+v", m, m)
	default:
	}
}

func set(path, value string, ttl time.Duration) []byte {
	s := &storepb.Set{Path: path, Value: []byte(value)}
	if ttl != 0 {
		s.TtlNs = new(int64(ttl))
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: s}})
}

// propose sends a command and returns its result.
func (m *testMachine) propose(command []byte) store.Result {
	m.t.Helper()
	m.root.Send(m.Raft, &Propose{ID: 1, ReplyTo: m.pid, Command: command})
	reply := next[*Proposed](m.probe)
	if reply.Err != nil {
		m.t.Fatalf("propose: %v", reply.Err)
	}
	return reply.Result
}

func (m *testMachine) set(path, value string) uint64 {
	m.t.Helper()
	return m.propose(set(path, value, 0)).Index
}

// read asks the raft actor (linearizable) or the store actor (local).
func (m *testMachine) read(of *actor.PID, path string) *ReadReply {
	m.t.Helper()
	m.root.Send(of, &Read{ID: 2, ReplyTo: m.pid, Path: path})
	return next[*ReadReply](m.probe)
}

// isEmpty reports whether a directory has no children on this machine.
func (m *testMachine) isEmpty(dir string) bool {
	r := m.read(m.Store, dir)
	return r.View == nil && len(r.Children) == 0
}

func (m *testMachine) sync() {
	m.t.Helper()
	m.root.Send(m.Raft, &Sync{ID: 3, ReplyTo: m.pid})
	if err := next[*Synced](m.probe).Err; err != nil {
		m.t.Fatal(err)
	}
}

func (m *testMachine) status() *StatusReply {
	m.t.Helper()
	m.root.Send(m.Raft, &Status{ID: 4, ReplyTo: m.pid})
	return next[*StatusReply](m.probe)
}

// watch adds a watch to a subscriber of its own, with the same ID.
func (m *testMachine) watch(id uint64, path string, since uint64) {
	m.root.Send(m.Hub, &Watch{ReplyTo: m.pid, Subscriber: id, Watcher: watch.Watcher{ID: id, Path: path, Since: since, Recursive: true, Hidden: true}})
}

// watched returns what a watch gets next.
func (m *testMachine) watched() watch.Delivery {
	m.t.Helper()
	w := next[*WatchReply](m.probe)
	if len(w.Deliveries) != 1 || w.Deliveries[0].Watch != w.ID {
		m.t.Fatalf("%+v, want one delivery", w)
	}
	return w.Deliveries[0]
}

// kind returns the counters of the actors of one kind.
func (m *testMachine) kind(name string) *Kind {
	for _, k := range m.kinds {
		if k.Name == name {
			return k
		}
	}
	m.t.Fatalf("no actors of kind %q", name)
	return nil
}

// eventually polls a condition that sends no signal. Each check is a round trip through the
// machine, so it does not spin.
func (m *testMachine) eventually(what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); m.sync() {
		if time.Now().After(deadline) {
			m.t.Fatalf("never: %s", what)
		}
	}
}

// hookFS lets a test look at, delay and fail what the log and the snapshots do.
type hookFS struct {
	vfs.FS
	beforeSync atomic.Pointer[func(name string) error]
	syncs      atomic.Int64
}

func (h *hookFS) onSync(hook func(name string) error) { h.beforeSync.Store(&hook) }

func (h *hookFS) Create(name string) (vfs.File, error) {
	f, err := h.FS.Create(name)
	return hookFile{f, name, h}, err
}

func (h *hookFS) Open(name string) (vfs.File, error) {
	f, err := h.FS.Open(name)
	return hookFile{f, name, h}, err
}

type hookFile struct {
	vfs.File
	name string
	fs   *hookFS
}

func (f hookFile) Sync() error {
	f.fs.syncs.Add(1)
	if hook := f.fs.beforeSync.Load(); hook != nil {
		if err := (*hook)(f.name); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

// leader is another member of the cluster that sends snapshots, in term 9.
var leader = store.Member{ID: 12, Name: "m2", PeerURL: "http://127.0.0.1:7002", ClientURL: "http://127.0.0.1:4002"}

// leadersState is the body of a snapshot of that member, whose last command has the given
// index: "/leader" is "yes".
func leadersState(index uint64, edit ...*storepb.Command) string {
	s := store.New()
	apply := func(index uint64, command []byte) {
		if _, err := s.Apply(index, 0, command); err != nil {
			panic(err)
		}
	}
	apply(1, bootstrapCommand(Config{Member: testMember, HistoryLimit: 1000}))
	apply(2, store.Encode(&storepb.Command{Kind: &storepb.Command_SetMember{SetMember: &storepb.SetMember{Member: memberMessage(leader)}}}))
	for i, c := range edit {
		apply(uint64(3+i), store.Encode(c))
	}
	apply(index, set("/leader", "yes", 0))
	var body strings.Builder
	if _, err := s.View().WriteTo(&body); err != nil {
		panic(err)
	}
	return body.String()
}

// leadersMessage is the Raft message that announces that snapshot.
func leadersMessage(index uint64) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(leader.ID), To: new(testMember.ID), Term: new(uint64(9)),
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			Index: new(index), Term: new(uint64(9)), ConfState: &raftpb.ConfState{Voters: []uint64{testMember.ID, leader.ID}},
		}},
	}
}

func encoded(t testing.TB, m *raftpb.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openTestDisk opens a data directory and, if it is empty, founds a cluster in it.
func openTestDisk(fsys vfs.FS, opts wal.Options) (*Disk, error) {
	disk, err := OpenDisk(fsys, opts)
	if err != nil || !disk.New {
		return disk, err
	}
	if err := disk.Create(testIdentity); err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return disk, nil
}
