package actors

import (
	"errors"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/watch"
)

// hubActor holds the watches. It only decides: writers hand out what is ready, and the
// catch-up actor scans the history.
type hubActor struct {
	hub     *watch.Hub
	metrics *metrics
	closing bool
	// asking are the subscribers whose watch is with the store actor, and whether their time is over.
	asking map[uint64]bool

	to   *pids
	idle []*actor.PID // writers that hand out nothing
}

func (h *hubActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		h.to, h.idle = m, slices.Clone(m.writers)
		return
	case *Watch:
		h.add(ctx, m)
	case *reconsidered:
		h.reconsider(ctx, m)
	case *Unwatch:
		delete(h.asking, m.Subscriber)
		h.hub.Remove(m.Subscriber)
	case *Written:
		h.hub.Written(m.Subscriber)
	case *Beat:
		h.hub.Beat(m.Subscriber)
	case *GiveUp:
		if _, asking := h.asking[m.Subscriber]; asking {
			h.asking[m.Subscriber] = true
		}
		h.hub.GiveUp(m.Subscriber)
	case *published:
		h.hub.Publish(m.events, m.history)
	case *replaced:
		h.hub.Replace(m.history, ErrHistoryLost)
	case leaderless:
		h.hub.Led()
		if m {
			h.hub.Leaderless(ErrNoQuorum)
		}
	case *watch.CatchUp:
		h.hub.CaughtUp(m)
	case *handedOut:
		h.idle = append(h.idle, m.writer)
	case reportLag:
		h.metrics.watchLag.Store(h.hub.Lag())
		h.metrics.lagAsked.Store(false)
		return
	case closeWatches:
		h.close(ctx)
	default:
		return
	}
	h.dispatch(ctx)
}

func (h *hubActor) add(ctx actor.Context, m *Watch) {
	if h.closing {
		replyFailed(ctx, m, ErrClosing)
		return
	}
	h.metrics.watchRequests.Add(uint64(1 + len(m.Others)))
	err := h.begin(m)
	switch {
	case errors.As(err, new(*watch.ClearedError)):
		h.asking[m.Subscriber] = false
		ctx.Send(h.to.store, &cleared{watch: m, err: err})
	case err != nil:
		h.refuse(ctx, m, err)
	}
}

func (h *hubActor) refuse(ctx actor.Context, m *Watch, err error) {
	if !errors.Is(err, ErrNoQuorum) {
		h.metrics.watchesLost.Add(uint64(1 + len(m.Others)))
	}
	failed := m.failed(err)
	failed.Index = h.hub.Index()
	reply(ctx, m, failed)
}

// begin adds all watches of a new subscriber, or none.
func (h *hubActor) begin(m *Watch) error {
	err := h.hub.Add(m.Subscriber, m.ReplyTo, m.Watcher)
	for i := 0; err == nil && i < len(m.Others); i++ {
		err = h.hub.Add(m.Subscriber, m.ReplyTo, m.Others[i])
	}
	switch {
	case err != nil:
		h.hub.Remove(m.Subscriber)
	case m.Beat:
		h.hub.Beat(m.Subscriber)
	}
	return err
}

// reconsider begins a watch that the store actor was asked about, unless its client has left meanwhile.
func (h *hubActor) reconsider(ctx actor.Context, m *reconsidered) {
	id := m.watch.Subscriber
	over, asking := h.asking[id]
	if !asking {
		return
	}
	delete(h.asking, id)
	err := m.err
	switch {
	case h.closing:
		replyFailed(ctx, m.watch, ErrClosing)
		return
	case err == nil:
		err = h.begin(m.watch)
	}
	switch {
	case err != nil:
		h.refuse(ctx, m.watch, err)
	case over:
		h.hub.GiveUp(id)
	}
}

// batchesPerWriter is how many subscribers a writer serves at a time.
const batchesPerWriter = 64

// dispatch gives work to the catch-up actor and to idle writers.
func (h *hubActor) dispatch(ctx actor.Context) {
	if c := h.hub.CatchUp(); c != nil {
		ctx.Send(h.to.catchUp, c)
	}
	for h.count(); len(h.idle) > 0; {
		batches := h.hub.Next(batchesPerWriter)
		if batches == nil {
			return
		}
		h.count()
		last := len(h.idle) - 1
		ctx.Send(h.idle[last], &handOut{batches: batches})
		h.idle = h.idle[:last]
	}
}

// close ends all watches with ErrClosing, behind what is ready for them. What a writer has not
// handed out yet may come later.
func (h *hubActor) close(ctx actor.Context) {
	h.closing = true
	for batches := h.hub.Next(batchesPerWriter); batches != nil; batches = h.hub.Next(batchesPerWriter) {
		send(ctx, h.metrics, batches)
	}
	all := h.hub.Clear(ErrClosing)
	h.count()
	send(ctx, h.metrics, all)
}

// count publishes how the subscribers are doing, before a client learns that its own watch has ended.
func (h *hubActor) count() { h.metrics.hub.set(h.hub.Stats()) }

func send(ctx actor.Context, metrics *metrics, batches []watch.Batch) {
	replies := make([]WatchReply, len(batches))
	for i, b := range batches {
		metrics.countDeliveries(b.Deliveries)
		replies[i] = WatchReply{ID: b.Subscriber, Deliveries: b.Deliveries, Index: b.Index, More: !b.Last}
		ctx.Send(b.Token.(*actor.PID), &replies[i])
	}
}

// writers is how many batches can be handed out at a time. Nothing blocks a writer, so a few
// are enough to use all processors.
const writers = 4

// writerActor hands out what is ready for subscribers. Sessions receive it on the goroutine
// of the writer, and write it as far as their connection takes it without waiting.
type writerActor struct {
	metrics *metrics
	to      *pids
}

func (w *writerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		w.to = m
	case *handOut:
		send(ctx, w.metrics, m.batches)
		ctx.Send(w.to.hub, &handedOut{writer: ctx.Self()})
	}
}
