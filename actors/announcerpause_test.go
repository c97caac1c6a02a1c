package actors

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
)

// handTimer fires when the test says so.
type handTimer struct{ set chan func() }

func (h *handTimer) after(f func()) Timer {
	h.set <- f
	return &handSet{h, f}
}

type handSet struct {
	*handTimer
	f func()
}

func (s *handSet) Reset(time.Duration) bool { s.set <- s.f; return false }
func (s *handSet) Stop() bool               { return false }

// warnings counts the log lines from warnings on.
type warnings struct {
	slog.Handler
	n *atomic.Int32
}

func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (w warnings) Handle(context.Context, slog.Record) error        { w.n.Add(1); return nil }

// A request that is refused at once is not retried at once, and several refusals are logged
// once.
func TestAnnouncerBacksOff(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	said := new(atomic.Int32)
	raft, timer := newProbe(t, system), &handTimer{set: make(chan func(), 1)}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &announcerActor{
			member: testMember, ready: make(chan struct{}), log: slog.New(warnings{slog.DiscardHandler, said}), pause: time.Second,
			afterFunc: func(_ time.Duration, f func()) Timer { return timer.after(f) },
		}
	}))
	defer system.Root.Stop(pid)
	system.Root.Send(pid, &pids{raft: raft.pid})
	system.Root.Send(pid, begin{})
	next[*Sync](raft)
	for _, refusal := range []any{
		&Synced{Err: raftnode.ErrOverloaded}, &Synced{Err: raftnode.ErrNoLeader}, &Proposed{Err: raftnode.ErrOverloaded},
	} {
		system.Root.Send(pid, refusal)
		var due func()
		select {
		case due = <-timer.set:
		case <-time.After(patience):
			t.Fatalf("after %+v it does not pause", refusal)
		}
		raft.silent()
		due()
		next[*Sync](raft)
	}
	if n := said.Load(); n != 1 {
		t.Errorf("three refusals are %d warnings, want 1", n)
	}
}
