package sim

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/store/tree"
	"etcd/watch"
)

// beatEvery is how long after a reply a watcher asks for a sign of life.
const beatEvery = 2 * time.Second

// maxStall is how long a watcher may stall.
const maxStall = 10 * time.Second

// watcher follows a part of the tree, on one machine after another. It must see every event
// once, in order.
type watcher struct {
	sim  *Sim
	rnd  *rand.Rand
	path string
	// stream keeps the watch after an event; otherwise every event needs a new one.
	stream    bool
	recursive bool

	life *life
	id   uint64
	next uint64 // index from which events are wanted; 0: not known yet
	read int    // events of the oracle before this position were seen, or do not match
}

// connect begins a watch on some machine.
func (w *watcher) connect() {
	w.life = nil
	l := w.sim.anyReady(w.rnd)
	if l == nil {
		w.reconnect()
		return
	}
	if w.next > 0 {
		w.register(l)
		return
	}
	// A watch without an index begins after everything that was acknowledged.
	floor := w.sim.oracle.told
	l.session.sync(clientPatience, func(synced *actors.Synced) {
		if synced == nil || synced.Err != nil || l.dead {
			w.reconnect()
			return
		}
		w.read = w.sim.oracle.eventsUpTo(floor)
		if w.rnd.IntN(2) == 0 {
			w.next = floor + 1 // then the first event is known
		}
		w.register(l)
	})
}

func (w *watcher) reconnect() {
	w.life = nil
	pause := 20*time.Millisecond + time.Duration(w.rnd.Int64N(int64(500*time.Millisecond)))
	if w.sim.quiet {
		pause /= 100 // nothing more is written, and it has to catch up
	}
	w.sim.after(pause, w.connect)
}

func (w *watcher) register(l *life) {
	w.life = l
	if w.stream {
		// Some leave by themselves and come back elsewhere.
		w.sim.after(time.Duration(w.rnd.Int64N(int64(20*time.Second))), func() { w.leave(l) })
	}
	w.id = l.session.call(l.machine.Hub, func(id uint64, replyTo *actor.PID) any {
		return &actors.Watch{ReplyTo: replyTo, Subscriber: id, Beat: w.stream, Watcher: watch.Watcher{
			Path: w.path, Since: w.next, Recursive: w.recursive, Hidden: true, Stream: w.stream, NeedsLeader: w.needsLeader(),
		}}
	}, 0, func(reply any) {
		if w.life != l {
			return // it has left
		}
		w.receive(reply)
	})
}

// needsLeader reports whether w ends on a machine without a quorum.
func (w *watcher) needsLeader() bool { return w.recursive }

func (w *watcher) leave(l *life) {
	if w.life != l || l.dead || w.next == 0 {
		return
	}
	w.sim.count("watch moved")
	l.machine.System.Root.Send(l.machine.Hub, &actors.Unwatch{Subscriber: w.id})
	l.session.forget(w.id)
	w.reconnect()
}

func (w *watcher) receive(message any) {
	reply, ok := message.(*actors.WatchReply)
	switch {
	case !ok: // the machine has ended
		w.sim.count("watch broken")
		w.reconnect()
	default:
		w.take(reply)
	}
}

// take handles deliveries, and asks for more at once or after a stall.
func (w *watcher) take(reply *actors.WatchReply) {
	for _, d := range reply.Deliveries {
		if d.Err != nil {
			w.lost(d.Err)
			return
		}
		w.see(d.Event)
		if d.Last {
			w.reconnect()
			return
		}
	}
	if len(reply.Deliveries) == 0 {
		w.sim.count("watcher gets a sign of life")
	}
	w.resumable(reply.Index)
	if len(reply.Deliveries) == watch.MaxReady {
		w.sim.count("watcher gets a full ready list")
	}
	pause := time.Duration(0)
	if !w.sim.quiet && w.rnd.IntN(20) == 0 {
		w.sim.count("watcher stalls")
		pause = time.Duration(w.rnd.Int64N(int64(maxStall)))
	}
	l := w.life
	w.sim.after(pause, func() {
		if !l.dead {
			l.machine.System.Root.Send(l.machine.Hub, &actors.Written{Subscriber: reply.ID})
		}
	})
	w.sim.after(pause+beatEvery, func() {
		if !l.dead && w.life == l {
			l.machine.System.Root.Send(l.machine.Hub, &actors.Beat{Subscriber: reply.ID})
		}
	})
}

// lost judges a watch that ends without an event.
func (w *watcher) lost(err error) {
	var cleared *watch.ClearedError
	switch {
	case errors.As(err, &cleared):
		w.sim.count("history cleared")
		if since := w.sim.oracle.eventsSince(cleared.Requested); since < int(w.sim.shape.history) {
			w.sim.fail("%s says that the history from %d on was cleared; there were only %d events since, and %d are kept",
				w.life, cleared.Requested, since, w.sim.shape.history)
		}
	case errors.Is(err, actors.ErrNoQuorum) && w.needsLeader():
		w.sim.count("watch ended without a quorum")
		w.reconnect() // it has missed nothing
		return
	case errors.Is(err, actors.ErrHistoryLost):
		w.sim.count("history lost by a snapshot")
		if w.life.snapshotIndex <= w.life.baseIndex {
			w.sim.fail("%s says that it has lost history, and has not installed a snapshot", w.life)
		}
	default:
		w.sim.fail("%s ends a watch: %v", w.life, err)
	}
	w.next = 0 // a client would read the key and watch again
	w.reconnect()
}

// see checks that event is the next one.
func (w *watcher) see(event *tree.Event) {
	w.sim.count("watch event")
	o := w.sim.oracle
	first := w.next == 0
	for ; w.read < len(o.events); w.read++ {
		e := o.events[w.read]
		if !w.wants(e) || e.Index < w.next {
			continue
		}
		if first && e.Index < event.Index {
			continue // before the watch was registered
		}
		break
	}
	if w.read == len(o.events) || o.events[w.read].Index != event.Index {
		expected := uint64(0)
		if w.read < len(o.events) {
			expected = o.events[w.read].Index
		}
		w.sim.fail("a watcher of %s from %d on %s sees event %d, want %d", w.path, w.next, w.life, event.Index, expected)
		return
	}
	if !sameEvent(o.events[w.read], event) {
		w.sim.fail("a watcher of %s on %s sees event %d as %s, want %s", w.path, w.life, event.Index, describe(event), describe(o.events[w.read]))
	}
	w.read++
	w.next = event.Index + 1
}

// resumable checks that w has seen all events up to an index, after which it goes on when it is
// connected again.
func (w *watcher) resumable(index uint64) {
	if w.next > 0 {
		if e := w.following(); e != nil && e.Index <= index {
			w.sim.fail("a watcher of %s on %s is told that it has all up to %d, and has not seen %s", w.path, w.life, index, describe(e))
		}
	}
	w.next = max(w.next, index+1)
}

// behind reports whether there are events that w has not seen.
func (w *watcher) behind() bool { return w.next > 0 && w.following() != nil }

// following returns the next event that w has to see; nil: none has happened yet.
func (w *watcher) following() *tree.Event {
	for ; w.read < len(w.sim.oracle.events); w.read++ {
		if e := w.sim.oracle.events[w.read]; w.wants(e) && e.Index >= w.next {
			return e
		}
	}
	return nil
}

// wants reports whether an event matches, by the API: at the path, below it if the watch is
// recursive, and deleting or expiring a directory above it.
func (w *watcher) wants(e *tree.Event) bool {
	path := e.Node.Path
	switch {
	case path == w.path:
		return true
	case w.path == "/" || strings.HasPrefix(path, w.path+"/"):
		return w.recursive
	case strings.HasPrefix(w.path, path+"/"):
		return e.Prev != nil && e.Prev.Dir && (e.Action == tree.ActionDelete || e.Action == tree.ActionExpire)
	}
	return false
}
