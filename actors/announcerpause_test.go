package actors

import (
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
)

// handTimer goes off when the test says so.
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

// A refusal that comes at once is not answered with the same question at once.
func TestTheAnnouncerPauses(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	raft, timer := newProbe(t, system), &handTimer{set: make(chan func(), 1)}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &announcerActor{
			member: testMember, ready: make(chan struct{}), log: slog.New(slog.DiscardHandler), pause: time.Second,
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
}
