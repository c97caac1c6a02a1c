package fronttest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/wal"
	"etcd/wal/vfs"
)

// Timeout bounds every wait of a test for something that must happen.
const Timeout = time.Minute

// Main runs the tests of a package, and fails them if they leak goroutines.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock for the Date header runs as long as the process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// The goroutine that looks for idle workers ends the next time it does, after ten seconds.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// A message to a stopped actor starts a goroutine of the actor library that ends
		// after a second.
		goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
	)
}

// Clock is a time that moves only when it is told to.
type Clock struct{ now atomic.Uint64 }

// NewClock returns a clock that is stopped at a moment in January 2026.
func NewClock() *Clock {
	c := &Clock{}
	c.now.Store(uint64(logtime.Of(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))))
	return c
}

// Read returns the time, as the server reads it.
func (c *Clock) Read() logtime.Time { return logtime.Time(c.now.Load()) }

// Reading returns the time, as the machine reads it.
func (c *Clock) Reading() raftnode.Reading {
	now := c.now.Load()
	return raftnode.Reading{Mono: now, Wall: now}
}

// Add advances the clock.
func (c *Clock) Add(d time.Duration) { c.now.Add(uint64(d)) }

// LogBuffer keeps what is logged.
type LogBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *LogBuffer) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

// Logger returns a log into the buffer, from level debug on.
func (r *LogBuffer) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Take returns what was logged since the last Take.
func (r *LogBuffer) Take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.buf.String()
	r.buf.Reset()
	return s
}

// StartMachine starts a machine that is a cluster of its own, and waits until it is ready.
func StartMachine(t testing.TB, clock func() raftnode.Reading, edit ...func(*actors.Config)) *actors.Machine {
	t.Helper()
	fsys, err := vfs.SharedDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk, err := actors.OpenDisk(fsys, wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Create(wal.Identity{ClusterID: 77, MemberID: 11}); err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	log := slog.New(slog.DiscardHandler)
	cfg := actors.Config{
		Member:       store.Member{Name: "m1", PeerURL: "http://127.0.0.1:7001", ClientURL: "http://127.0.0.1:4001"},
		HistoryLimit: 1000,
		Tick:         10 * time.Millisecond,
		Host: actors.Process(func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("there are no other machines here")
		}),
		Clock: clock,
		Log:   log,
		Raft: raftnode.Config{
			HeartbeatTicks: 1, ElectionTicks: 10, RequestTicks: 2000, MaxMembers: 9,
			SnapshotBytes: 64 << 20, FirstProposalID: 1, Log: log,
		},
	}
	for _, e := range edit {
		e(&cfg)
	}
	machine, err := actors.Start(cfg, disk)
	if err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	t.Cleanup(func() {
		if err := machine.Stop(context.Background()); err != nil {
			t.Errorf("stop of the machine: %v", err)
		}
	})
	select {
	case <-machine.Ready:
	case <-time.After(Timeout):
		t.Fatal("the machine did not become ready")
	}
	return machine
}

// ask sends a request to an actor of the machine and waits for its answer.
func ask[A actors.Answer](t testing.TB, m *actors.Machine, to *actor.PID, request func(replyTo *actor.PID) any) A {
	t.Helper()
	answers := make(chan A, 1)
	pid := m.System.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if a, ok := ctx.Message().(A); ok {
			answers <- a
		}
	}))
	defer m.System.Root.Stop(pid)
	m.System.Root.Send(to, request(pid))
	select {
	case a := <-answers:
		return a
	case <-time.After(Timeout):
		t.Fatal("the machine does not answer")
		panic("not reached")
	}
}

// Propose has a machine apply a command, and returns what it did.
func Propose(t testing.TB, m *actors.Machine, command []byte) *actors.Proposed {
	t.Helper()
	return ask[*actors.Proposed](t, m, m.Raft, func(replyTo *actor.PID) any { return &actors.Propose{ReplyTo: replyTo, Command: command} })
}

// Block blocks the store actor of a machine until release is called: it has it answer an actor
// on a synchronized dispatcher, as sessions are. Such an actor receives on the goroutine of the
// sender, and this one does not return.
func Block(t testing.TB, m *actors.Machine) (release func()) {
	t.Helper()
	blocked, released := make(chan struct{}), make(chan struct{})
	root := m.System.Root
	pid := root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actors.ReadReply); ok {
			close(blocked)
			<-released
		}
	}, actor.WithDispatcher(actor.NewSynchronizedDispatcher(1))))
	root.Send(m.Store, &actors.Read{ReplyTo: pid, Path: "/"})
	<-blocked
	release = sync.OnceFunc(func() {
		close(released)
		root.Stop(pid)
	})
	t.Cleanup(release)
	return release
}
