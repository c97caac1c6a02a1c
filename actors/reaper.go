package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/expiry"
	"etcd/raftnode"
	"etcd/store/logtime"
)

// maxReaperSleep bounds how long the reaper trusts one timer.
const maxReaperSleep = time.Minute

// reaperActor expires keys, by commands that go through the log.
type reaperActor struct {
	core      expiry.Reaper
	clock     func() logtime.Time
	afterFunc func(time.Duration, func()) Timer

	to    *pids
	timer Timer
}

func (r *reaperActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		r.to = m
		root, self := ctx.ActorSystem().Root, ctx.Self()
		r.timer = r.afterFunc(maxReaperSleep, func() { root.Send(self, reapDue{}) })
	case *actor.Stopping:
		if r.timer != nil { // a stop overtakes the first message
			r.timer.Stop()
		}
		return
	case *raftnode.Leader:
		r.core.SetLeading(m.Self)
	case *nextDeadline:
		r.core.SetNext(m.at)
	case *expired:
		if r.core.Begin(len(m.commands)) {
			for _, command := range m.commands {
				ctx.Send(r.to.raft, &Propose{ReplyTo: ctx.Self(), Command: command})
			}
		}
	case *Proposed:
		r.core.Answered(m.Err == nil, r.clock())
	case reapDue:
	default:
		return
	}
	r.arm(ctx)
}

func (r *reaperActor) arm(ctx actor.Context) {
	now := r.clock()
	if r.core.Due(now) {
		ctx.Send(r.to.store, &collectExpired{now: now, replyTo: ctx.Self()})
	}
	sleep := maxReaperSleep
	// Compared as moments: the longest time to live can end further away than a
	// time.Duration can express.
	if wake := r.core.Wake(); wake != 0 && wake < now.Add(sleep) {
		sleep = time.Duration(wake - now)
	}
	r.timer.Reset(sleep)
}
