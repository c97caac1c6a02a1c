package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/wal"
	"etcd/wal/vfs"
)

// The tests below start this test program again, to see how a machine ends its
// process. childEnv tells the child what is to go wrong, childDir where.
const (
	childEnv = "ACTORS_TEST_CHILD"
	childDir = "ACTORS_TEST_DIR"
)

// acknowledged is what a child prints if a write that failed was acked.
const acknowledged = "ACKNOWLEDGED"

// child runs a machine until the requested failure has ended the process.
func child(kind string) {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(3)
		}
	}
	dir, err := vfs.SharedDir(os.Getenv(childDir))
	must(err)
	fsys := &hookFS{FS: dir}
	disk, err := openTestDisk(fsys, wal.Options{SegmentSize: 1 << 20})
	must(err)
	cfg := testConfig()
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	cfg.Raft.SnapshotEntries = 10
	m, err := Start(cfg, disk)
	must(err)
	<-m.Ready

	writer := m.System.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*Proposed); ok {
			fmt.Println(acknowledged)
		}
	}))
	write := &Propose{ReplyTo: writer, Command: set("/a", "1", 0)}
	failSync := func(suffix string, errno syscall.Errno) {
		fsys.onSync(func(name string) error {
			if strings.Contains(name, suffix) {
				return &os.PathError{Op: "sync", Path: name, Err: errno}
			}
			return nil
		})
	}
	root := m.System.Root
	switch kind {
	case "panic raft":
		root.Send(m.Raft, (*Propose)(nil))
	case "panic wal":
		root.Send(m.Inbox.to.wal, (*raftnode.Append)(nil))
	case "panic store":
		root.Send(m.Store, (*raftnode.Apply)(nil))
	case "panic hub":
		root.Send(m.Hub, (*Watch)(nil))
	case "log ENOSPC":
		failSync(".wal", syscall.ENOSPC)
		root.Send(m.Raft, write)
	case "log EIO":
		failSync(".wal", syscall.EIO)
		root.Send(m.Raft, write)
	case "snapshot ENOSPC":
		failSync(".snap", syscall.ENOSPC)
		for range 20 {
			root.Send(m.Raft, &Propose{Command: set("/a", "1", 0)})
		}
	case "received snapshot ENOSPC":
		failSync(".snap", syscall.ENOSPC)
		root.Send(m.Inbox.to.receiver, received(100, strings.NewReader(leadersState(100)), func(error) {}))
	case "unknown command":
		root.Send(m.Raft, &Propose{ReplyTo: writer, Command: []byte("not a command")})
	}
	<-time.After(patience)
	fmt.Fprintln(os.Stderr, "child: still running")
	os.Exit(3)
}

// received is the message that announces a snapshot of a leader.
func received(index uint64, body io.Reader, done func(error)) *receiveSnapshot {
	return &receiveSnapshot{
		from: leader.ID, meta: leadersMessage(index).GetSnapshot().GetMetadata(), needed: true, size: 1000, body: body, done: done,
	}
}

// runChild returns the exit code and the output of a child.
func runChild(t *testing.T, kind, dir string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+kind, childDir+"="+dir)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if runErr := cmd.Run(); runErr != nil && !errors.As(runErr, new(*exec.ExitError)) {
		t.Fatal(runErr)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func TestProcessEnds(t *testing.T) {
	tests := []struct {
		kind     string
		says     []string
		saysNot  []string
		restarts bool
	}{
		{"panic raft", []string{"the raft actor panicked", "actor=raft", "message=*actors.Propose", "nil pointer dereference", "stack=", "(*raftActor).Receive", "starting it again is safe"}, nil, true},
		{"panic wal", []string{"the wal actor panicked", "actor=wal", "(*walActor).Receive"}, nil, true},
		{"panic store", []string{"the store actor panicked", "actor=store", "(*storeActor).apply"}, nil, true},
		{"panic hub", []string{"the hub actor panicked", "actor=hub", "(*hubActor).Receive"}, nil, true},
		{"log ENOSPC", []string{"cannot write the log", "no space left on device", "Look at the disk", "then start it again"}, []string{"stack", "goroutine", "panic"}, true},
		{"log EIO", []string{"cannot write the log", "input/output error", "Look at the disk"}, []string{"stack", "goroutine", "panic"}, true},
		{"snapshot ENOSPC", []string{"cannot write a snapshot", "no space left on device", "Look at the disk"}, []string{"stack", "goroutine", "panic"}, true},
		{"received snapshot ENOSPC", []string{"cannot store a snapshot of the leader", "no space left on device", "Look at the disk"}, []string{"stack", "goroutine", "panic"}, true},
		{"unknown command", []string{"cannot apply", "index=3", "term=2", "why=", "begins=6e6f7420\n", "or a newer one", "-skip-entry"}, []string{"stack", "goroutine", "panic"}, false},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			code, stdout, stderr := runChild(t, test.kind, dir)
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, part := range test.says {
				if !strings.Contains(stderr, part) {
					t.Errorf("the message lacks %q", part)
				}
			}
			for _, part := range test.saysNot {
				if strings.Contains(stderr, part) {
					t.Errorf("the message has %q in it", part)
				}
			}
			if n := strings.Count(stderr, "level=ERROR"); n != 1 {
				t.Errorf("%d errors were logged, want 1", n)
			}
			if strings.Contains(stdout, acknowledged) {
				t.Error("a write was acked all the same")
			}
			if t.Failed() {
				t.Logf("stderr:\n%s", stderr)
			}
			if !test.restarts {
				return
			}
			start(t, dir).set("/b", "2")
		})
	}
}

// If the snapshot of a leader breaks off, the leader has to resend it: nothing is left behind,
// and the machine goes on.
func TestReceivedSnapshotBreaksOff(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	broken := errors.New("the connection broke")
	done := make(chan error, 1)
	m.root.Send(m.Inbox.to.receiver, received(100, io.MultiReader(strings.NewReader("sta"), iotest.ErrReader(broken)), func(err error) { done <- err }))
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("the sender is told %v", err)
	}
	if files := list(t, dir, ".snap.tmp"); len(files) > 0 {
		t.Errorf("it leaves %v behind", files)
	}
	m.set("/a", "1")
}

// A panicking actor of a connection is stopped; other connections, and the machine, go on.
func TestStopOnPanic(t *testing.T) {
	m := start(t, t.TempDir())
	var logged bytes.Buffer
	supervisor := StopOnPanic(slog.New(slog.NewTextHandler(&logged, nil)))
	sessions := m.Kind("session")
	stopped := make(chan *actor.PID, 2)
	spawn := func(dispatcher actor.Dispatcher) *actor.PID {
		return m.root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch message := ctx.Message().(type) {
			case string:
				if message == "panic" {
					panic("made to")
				}
				m.got <- message
			case *actor.Stopped:
				stopped <- ctx.Self()
			}
		}, actor.WithMailbox(sessions.Mailbox()), actor.WithGuardian(supervisor), actor.WithDispatcher(dispatcher)))
	}
	for _, dispatcher := range []actor.Dispatcher{actor.NewSynchronizedDispatcher(1), actor.NewDefaultDispatcher(300)} {
		logged.Reset()
		bad, good := spawn(dispatcher), spawn(dispatcher)
		m.root.Send(bad, "panic")
		m.root.Send(bad, "too late")
		select {
		case pid := <-stopped:
			if !pid.Equal(bad) {
				t.Fatalf("%v was stopped, want %v", pid, bad)
			}
		case <-time.After(patience):
			t.Fatal("the actor that panicked was not stopped")
		}
		for _, part := range []string{"a session actor panicked and was stopped", "panic=\"made to\"", "message=string", "stack=", "TestStopOnPanic"} {
			if !strings.Contains(logged.String(), part) {
				t.Errorf("the log lacks %q:\n%s", part, &logged)
			}
		}
		m.root.Send(good, "still here")
		if s := next[string](m.probe); s != "still here" {
			t.Errorf("got %q", s)
		}
		m.root.Stop(good)
		<-stopped
	}
	m.set("/a", "1")
	m.silent()
}
