package httpfront

import (
	"slices"
	"sync"
)

// maxWaking bounds the connections that are served at once because their next request has
// arrived while they were parked. Without it thousands that wake together, because an event has
// gone to all of them or their server was restarted, would run before everything else, each with
// buffers of its own.
const maxWaking = 64

// waking serves connections that were parked: a few at once, in the order in which their requests
// have arrived.
type waking struct {
	serve func(c *conn)

	mu    sync.Mutex
	free  int     // places left
	queue []*conn // they wait for a place, from next on
	next  int
}

// place is what a connection has while it is served for a request that has arrived. It leaves
// the place when its goroutine begins to wait: for the client, so that one which sends half a
// request or does not read its answer holds up nobody, or for the machine. The place belongs to
// that goroutine.
type place struct {
	of   *waking
	read bool // the connection was read once: what had arrived
	left bool
}

// add serves c, or has it wait for a place.
func (w *waking) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free == 0 {
		w.queue = append(w.queue, c)
		return
	}
	w.free--
	go w.work(c)
}

// work serves c, which has a place, and then others in that place.
func (w *waking) work(c *conn) {
	for c != nil {
		p := &place{of: w}
		c.place = p
		w.serve(c)
		if p.left {
			return
		}
		c = w.following()
	}
}

// following gives a place that is left to the connection that is served next; nil: none waits.
func (w *waking) following() *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == len(w.queue) {
		w.queue, w.next = w.queue[:0], 0
		w.free++
		return nil
	}
	c := w.queue[w.next]
	w.queue[w.next] = nil
	w.next++
	if w.next > len(w.queue)/2 { // it may never be empty
		w.queue, w.next = slices.Delete(w.queue, 0, w.next), 0
	}
	return c
}

// beforeRead leaves the place if the connection is about to be read again.
func (p *place) beforeRead() {
	if p != nil && !p.read {
		p.read = true
		return
	}
	p.leave()
}

// leave leaves the place to the connection that is served next.
func (p *place) leave() {
	if p == nil || p.left {
		return
	}
	p.left = true
	if c := p.of.following(); c != nil {
		go p.of.work(c)
	}
}
