package actors

import (
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// recording is an actor that notes what it receives. Its messages may have an effect.
type recording struct {
	mu  sync.Mutex
	got []any
}

func (r *recording) Receive(ctx actor.Context) {
	m := ctx.Message()
	if does, ok := m.(func()); ok {
		does()
		m = "done"
	}
	r.mu.Lock()
	r.got = append(r.got, m)
	r.mu.Unlock()
}

func (r *recording) messages(t *testing.T, want ...any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := slices.DeleteFunc(slices.Clone(r.got), func(m any) bool {
		switch m.(type) {
		case string, int:
			return false
		}
		return true
	})
	if !slices.Equal(got, want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

// A message is handled when Send returns; one that comes while another is handled follows it.
func TestInlineMailbox(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	kind := &Kind{Name: "test"}
	r := &recording{}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return r }, actor.WithMailbox(kind.Inline())))
	system.Root.Send(pid, 1)
	r.messages(t, 1)
	system.Root.Send(pid, func() {
		system.Root.Send(pid, 2)
		r.messages(t, 1)
		if kind.Depth() != 1 {
			t.Errorf("%d messages wait", kind.Depth())
		}
	})
	r.messages(t, 1, "done", 2)

	entered, leave := make(chan struct{}), make(chan struct{})
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		system.Root.Send(pid, func() {
			close(entered)
			<-leave
		})
	}()
	<-entered
	system.Root.Send(pid, 3) // does not wait
	r.messages(t, 1, "done", 2)
	close(leave)
	<-handled
	r.messages(t, 1, "done", 2, "done", 3)

	stop(t, system, pid)
	system.Root.Send(pid, 4)
	r.messages(t, 1, "done", 2, "done", 3)
	if kind.Received() != 5 {
		t.Errorf("received %d", kind.Received())
	}
}

// An actor that panics is stopped by its supervisor, and what waits for it is not handled.
func TestInlineMailboxAfterAPanic(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	kind := &Kind{Name: "test"}
	r := &recording{}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return r }, actor.WithMailbox(kind.Inline()),
		actor.WithGuardian(StopOnPanic(slog.New(slog.DiscardHandler)))))
	system.Root.Send(pid, func() {
		system.Root.Send(pid, 1)
		panic("test")
	})
	stop(t, system, pid)
	r.messages(t)
}
