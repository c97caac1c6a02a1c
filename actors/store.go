package actors

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store"
)

// maxExpiredPerRound bounds how many keys one round of the reaper removes, so that
// a million keys with one deadline do not crowd out everything else.
const maxExpiredPerRound = 1000

// storeActor owns the state machine: it applies, answers, and tells the hub and
// the reaper what has changed.
type storeActor struct {
	store  *store.Store
	counts Counts
	log    *slog.Logger

	to *pids

	deadline store.Time // the one the reaper was last told
}

func (s *storeActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *raftnode.Apply:
		s.apply(ctx, m)
	case *release:
		for _, token := range m.tokens {
			switch request := token.(type) {
			case *Read:
				s.read(ctx, request)
			case *Sync:
				ctx.Send(request.ReplyTo, &Synced{ID: request.ID})
			}
		}
	case *Read:
		s.read(ctx, m)
	case *status:
		ctx.Send(m.request.ReplyTo, &StatusReply{
			ID: m.request.ID, Raft: m.raft, LeaderSince: m.leaderSince,
			Members: s.store.Members(), HistoryLimit: s.store.HistoryLimit(), Counts: s.counts,
		})
	case *takeSnapshot:
		ctx.Send(s.to.snapshotter, &writeSnapshot{meta: m.meta, body: s.store.Snapshot()})
	case *collectExpired:
		ctx.Send(m.replyTo, &expired{commands: s.store.Expired(m.now, maxExpiredPerRound)})
	case *pids:
		s.to = m
		s.tellReaper(ctx)
	}
}

// apply applies a run of entries. The hub hears of the events before anybody is
// answered: whoever starts a watch after an answer must not see that answer's event.
func (s *storeActor) apply(ctx actor.Context, m *raftnode.Apply) {
	results := make([]store.Result, len(m.Entries))
	var events []*store.Event
	for i, e := range m.Entries {
		result, err := s.store.Apply(e.Index, store.Time(e.Now), e.Command)
		if err != nil {
			fatal(s.log, "the log holds a command that this program does not understand: the process ends, "+
				"because machines that skip a command would no longer agree. Start the version that wrote it, or a newer one",
				"index", e.Index, "error", err)
		}
		s.counts.count(result)
		if result.Published {
			events = append(events, result.Event)
		}
		results[i] = result
	}
	if len(events) > 0 {
		ctx.Send(s.to.hub, &published{events: events, history: s.store.History()})
	}
	for i, e := range m.Entries {
		if request, ok := e.Token.(*Propose); ok && request.ReplyTo != nil {
			ctx.Send(request.ReplyTo, &Proposed{ID: request.ID, Result: results[i]})
		}
	}
	ctx.Send(s.to.raft, &applied{apply: m})
	s.tellReaper(ctx)
}

func (s *storeActor) tellReaper(ctx actor.Context) {
	if next := s.store.NextDeadline(); next != s.deadline {
		s.deadline = next
		ctx.Send(s.to.reaper, &nextDeadline{at: next})
	}
}

func (s *storeActor) read(ctx actor.Context, m *Read) {
	reply := &ReadReply{ID: m.ID, Index: s.store.Index()}
	reply.Node, reply.Failure = s.store.Get(m.Path)
	if reply.Node != nil && reply.Node.Dir {
		reply.Children = s.store.Children(m.Path)
	}
	if reply.Failure == nil {
		s.counts.GetsSuccess++
	} else {
		s.counts.GetsFail++
	}
	ctx.Send(m.ReplyTo, reply)
}
