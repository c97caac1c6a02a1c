package actors

import (
	"runtime"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/watch"
)

// eventsPerScan is how many events are scanned before other actors get their turn: about 100 µs.
const eventsPerScan = 1000

// catchUpActor scans the history for events that subscribers have missed.
type catchUpActor struct{ to *pids }

func (c *catchUpActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		c.to = m
	case *watch.CatchUp:
		if m.Scan(eventsPerScan) {
			ctx.Send(ctx.Self(), m)
			runtime.Gosched() // deliveries come first
			return
		}
		ctx.Send(c.to.hub, m)
	}
}
