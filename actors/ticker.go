package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// tickerActor gives the raft actor its sense of time. It is re-armed by its own
// message, so a machine that was stopped for a while gets one tick, not a burst.
type tickerActor struct {
	interval  time.Duration
	afterFunc func(time.Duration, func()) Timer
	to        *pids
	timer     Timer
}

func (t *tickerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		t.to = m
	case begin:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		t.timer = t.afterFunc(t.interval, func() { root.Send(self, tickDue{}) })
	case *actor.Stopping:
		if t.timer != nil { // a stop overtakes the first message
			t.timer.Stop()
		}
	case tickDue:
		ctx.Send(t.to.raft, tick{})
		t.timer.Reset(t.interval)
	}
}
