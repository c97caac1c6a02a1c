package actors

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store"
)

// raftActor drives the consensus core and spreads its work.
type raftActor struct {
	node  *raftnode.Node
	clock func() store.Time
	log   *slog.Logger

	to       *pids
	flushing bool

	leader      uint64
	leaderSince store.Time
}

func (r *raftActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Propose:
		r.node.Propose(m.Command, uint64(r.clock()), m)
	case *Read:
		r.node.Read(m)
	case *Sync:
		r.node.Read(m)
	case *appended:
		for _, a := range m.appends {
			r.must(r.node.Appended(a))
		}
	case *applied:
		r.must(r.node.Applied(m.apply))
	case *snapshotLogged:
		r.must(r.node.Snapshotted(m.meta))
	case tick:
		r.node.Tick()
	case *Status:
		ctx.Send(r.to.store, &status{request: m, raft: r.node.Status(), leaderSince: r.leaderSince})
		return
	case flush:
		r.flushing = false
		r.work(ctx)
		return
	case *pids:
		r.to = m
	default:
		return
	}
	if !r.flushing {
		r.flushing = true
		ctx.Send(ctx.Self(), flush{})
	}
}

// work does what the core asks for. Reads go behind the entries they wait for.
func (r *raftActor) work(ctx actor.Context) {
	for {
		work, ok := r.node.Work()
		if !ok {
			return
		}
		if work.Leader != nil {
			r.leaderChanged(ctx, work.Leader)
		}
		if work.Append != nil {
			ctx.Send(r.to.wal, work.Append)
		}
		if work.Apply != nil {
			ctx.Send(r.to.store, work.Apply)
		}
		if len(work.Reads) > 0 {
			ctx.Send(r.to.store, &release{tokens: work.Reads})
		}
		if work.TakeSnapshot != nil {
			ctx.Send(r.to.store, &takeSnapshot{meta: work.TakeSnapshot})
		}
		for _, f := range work.Failed {
			answerFailure(ctx, f)
		}
	}
}

func (r *raftActor) leaderChanged(ctx actor.Context, leader *raftnode.Leader) {
	if leader.ID != r.leader {
		r.leader, r.leaderSince = leader.ID, r.clock()
	}
	switch {
	case leader.Self:
		r.log.Info("this machine leads the cluster", "term", leader.Term)
	case leader.ID == 0:
		r.log.Debug("no leader is known", "term", leader.Term)
	default:
		r.log.Info("another machine leads the cluster", "leader", leader.ID, "term", leader.Term)
	}
	ctx.Send(r.to.reaper, leader)
}

func answerFailure(ctx actor.Context, f raftnode.Failure) {
	switch request := f.Token.(type) {
	case *Propose:
		if request.ReplyTo != nil {
			ctx.Send(request.ReplyTo, &Proposed{ID: request.ID, Err: f.Err})
		}
	case *Read:
		ctx.Send(request.ReplyTo, &ReadReply{ID: request.ID, Err: f.Err})
	case *Sync:
		ctx.Send(request.ReplyTo, &Synced{ID: request.ID, Err: f.Err})
	}
}

func (r *raftActor) must(err error) {
	if err != nil {
		panic(err)
	}
}
