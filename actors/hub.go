package actors

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/watch"
)

// hubActor delivers events to the sessions that watch.
type hubActor struct {
	hub      *watch.Hub
	watchers *atomic.Int64 // how many, for those who ask
	closing  bool

	deliveries []watch.Delivery // reused
}

func (h *hubActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Watch:
		h.add(ctx, m)
	case *Unwatch:
		h.hub.Remove(m.ID)
	case *published:
		h.deliver(ctx, h.hub.Publish(m.events, m.history, h.deliveries[:0]))
	case *replaced:
		h.replace(ctx, m)
	case closeWatches:
		h.closing = true
		for _, w := range h.hub.Clear() {
			ctx.Send(w.Token.(*actor.PID), &WatchReply{ID: w.ID, Last: true, Err: ErrClosing})
		}
	default:
		return
	}
	h.watchers.Store(int64(h.hub.Len()))
}

func (h *hubActor) add(ctx actor.Context, m *Watch) {
	if h.closing {
		replyFailed(ctx, m, ErrClosing)
		return
	}
	w := m.Watcher
	w.Token = m.ReplyTo
	deliveries, err := h.hub.Add(&w, h.deliveries[:0])
	if err != nil {
		replyFailed(ctx, m, err)
		return
	}
	h.deliver(ctx, deliveries)
}

func (h *hubActor) replace(ctx actor.Context, m *replaced) {
	deliveries, lost := h.hub.Replace(m.history, h.deliveries[:0])
	h.deliver(ctx, deliveries)
	for _, w := range lost {
		ctx.Send(w.Token.(*actor.PID), &WatchReply{ID: w.ID, Last: true, Err: ErrHistoryLost})
	}
}

func (h *hubActor) deliver(ctx actor.Context, deliveries []watch.Delivery) {
	for i, d := range deliveries {
		ctx.Send(d.Watcher.Token.(*actor.PID), &WatchReply{ID: d.Watcher.ID, Event: d.Event, Last: d.Last})
		deliveries[i] = watch.Delivery{}
	}
	h.deliveries = deliveries[:0]
}
