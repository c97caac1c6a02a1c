package actors

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	dto "github.com/prometheus/client_model/go"
)

func TestMailboxCounts(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	kind := newKind("test", actor.Unbounded())
	mailbox := kind.Mailbox()
	entered, leave := make(chan struct{}), make(chan struct{})
	spawn := func() *actor.PID {
		return system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(int); ok {
				entered <- struct{}{}
				<-leave
			}
		}, actor.WithMailbox(mailbox)))
	}
	check := func(depth, received int64) {
		t.Helper()
		if kind.Depth() != depth || kind.Received() != received {
			t.Errorf("depth %d, received %d; want %d, %d", kind.Depth(), kind.Received(), depth, received)
		}
	}
	a, b := spawn(), spawn()
	check(0, 0)
	for i := range 5 {
		system.Root.Send(a, i)
	}
	for i := range 3 {
		system.Root.Send(b, i)
	}
	<-entered
	<-entered
	check(6, 2) // of both mailboxes; one each is being handled
	if n, _ := handled(t, kind); n != 0 {
		t.Errorf("%d messages timed before the first was handled", n)
	}
	if running := kind.Running(); running != 2 {
		t.Errorf("%d actors run, want 2", running)
	}
	const held = 2 * time.Millisecond
	<-time.After(held)
	leave <- struct{}{}
	leave <- struct{}{}
	for range 6 {
		<-entered
		leave <- struct{}{}
	}
	stop(t, system, a)
	stop(t, system, b)
	check(0, 8) // a stop is not a user message
	if n, sum := handled(t, kind); n != 8 || sum < 2*held {
		t.Errorf("%d messages in %v, want 8 in at least %v", n, sum, 2*held)
	}
	if running := kind.Running(); running != 0 {
		t.Errorf("%d actors run, want none", running)
	}
}

// handled returns how many messages were timed, and the sum of their times.
func handled(t *testing.T, kind *Kind) (n uint64, sum time.Duration) {
	t.Helper()
	var m dto.Metric
	if err := kind.handling.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Histogram.GetSampleCount(), time.Duration(m.Histogram.GetSampleSum() * float64(time.Second))
}

func stop(t *testing.T, system *actor.ActorSystem, pid *actor.PID) {
	t.Helper()
	if err := system.Root.StopFuture(pid).Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestPinnedKeepsOrder(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	const senders, each = 4, 5000
	type message struct{ sender, number int }
	var (
		last [senders]int
		seen int
		done = make(chan struct{})
	)
	dispatcher := newPinned()
	defer dispatcher.stop()
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		m, ok := ctx.Message().(message)
		if !ok {
			return
		}
		if m.number != last[m.sender]+1 {
			t.Errorf("sender %d: message %d came behind %d", m.sender, m.number, last[m.sender])
		}
		last[m.sender] = m.number
		if seen++; seen == senders*each {
			close(done)
		}
	}, actor.WithDispatcher(dispatcher)))
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				system.Root.Send(pid, message{s, i + 1})
			}
		})
	}
	sending.Wait()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("messages are missing")
	}
	stop(t, system, pid)
}

// The goroutine ends at stop (TestMain checks that), even if stop is called on it, and later
// calls of Schedule do not block.
func TestPinnedAfterStop(t *testing.T) {
	p := newPinned()
	ran := make(chan struct{})
	p.Schedule(func() {
		p.stop()
		close(ran)
	})
	<-ran
	scheduled := make(chan struct{})
	go func() {
		for range 5 {
			p.Schedule(func() {})
		}
		close(scheduled)
	}()
	select {
	case <-scheduled:
	case <-time.After(patience / 4):
		t.Error("Schedule blocks after stop")
	}
}
