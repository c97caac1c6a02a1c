package watch

import (
	"etcd/store/tree"
)

const (
	// maxCatchUpSubs bounds how many subscribers catch up in one pass over the history.
	maxCatchUpSubs = 1024
	// maxUnindexed is how many watches at most are compared with each event one by one. More of
	// them are indexed in a tree of their paths.
	maxUnindexed = 16
)

// CatchUp is one pass over a view of the history, for what subscribers that are behind have
// missed. Meanwhile it shares nothing mutable with the hub, so it may run on a goroutine of
// its own.
type CatchUp struct {
	view      tree.History
	at, end   uint64 // index of the next event to scan, and of the first one after the view
	subs      []*catchUpSub
	running   int                         // subscribers that have not stopped yet
	paths     paths[*catchUpWatch]        // all watches, if they are many
	unindexed []catchUpWatch              // all watches, if they are few
	finished  []*pathEntry[*catchUpWatch] // to be removed from paths
}

// catchUpSub is a subscriber that is catching up.
type catchUpSub struct {
	catchUp *CatchUp
	sub     *subscriber
	watches []catchUpWatch
	pending int // watches that are not done
	found   []Delivery
	bytes   int // that the values in found have
	// stopped: it needs no more of this pass, and has to go on from cursor in another one.
	stopped bool
	cursor  uint64
}

// catchUpWatch is a watch of a subscriber that is catching up.
type catchUpWatch struct {
	sub   *catchUpSub
	w     *watcher // only its immutable fields are read during the pass
	from  uint64
	done  bool
	entry pathEntry[*catchUpWatch]
}

// CatchUp begins a pass for the subscribers that wait for one; nil if none does, or if a pass
// is under way.
func (h *Hub) CatchUp() *CatchUp {
	if h.catchUp != nil || h.waiting.first == nil {
		return nil
	}
	c := &CatchUp{view: h.history, at: h.next(), end: h.next()}
	watches := 0
	for range maxCatchUpSubs {
		s := h.waiting.first
		if s == nil {
			break
		}
		s.dequeue()
		h.endCleared(s, func(requested uint64) error { return clearedError(h.history, requested) })
		if len(s.ready) > 0 { // errors, which are delivered first
			h.enqueue(s)
			continue
		}
		h.become(s, catchingUp)
		c.at = min(c.at, s.cursor)
		c.subs = append(c.subs, &catchUpSub{catchUp: c, sub: s})
		for w := s.watches; w != nil; w = w.next {
			watches++
		}
	}
	if len(c.subs) == 0 {
		return nil
	}
	c.running = len(c.subs)
	all := make([]catchUpWatch, 0, watches)
	for _, r := range c.subs {
		first := len(all)
		for w := r.sub.watches; w != nil; w = w.next {
			all = append(all, catchUpWatch{sub: r, w: w, from: max(w.from, r.sub.cursor)})
		}
		r.watches = all[first:]
		r.pending = len(r.watches)
	}
	if len(all) <= maxUnindexed {
		c.unindexed = all
	}
	h.catchUp = c
	return c
}

// Scan goes on with the pass, for the given number of events at most, and reports whether
// there are more.
func (c *CatchUp) Scan(events int) (more bool) {
	if c.unindexed == nil && c.paths.nodes == nil {
		c.index()
	}
	for e := range c.view.From(c.at) {
		if events == 0 {
			return true
		}
		events--
		c.match(e)
		c.at = e.Index + 1
		if c.running == 0 {
			break
		}
	}
	return false
}

func (c *CatchUp) index() {
	c.paths = newPaths[*catchUpWatch](len(c.subs))
	for _, r := range c.subs {
		for i := range r.watches {
			cw := &r.watches[i]
			cw.entry.value = cw
			c.paths.add(cw.w.Path, &cw.entry)
		}
	}
}

func (c *CatchUp) match(e *tree.Event) {
	if c.unindexed != nil {
		for i := range c.unindexed {
			c.unindexed[i].offer(e)
		}
		return
	}
	c.paths.match(e, func(cw *catchUpWatch) { cw.offer(e) })
	for _, s := range c.finished {
		c.paths.remove(s)
	}
	c.finished = c.finished[:0]
}

// offer takes e if the watch wants it.
func (c *catchUpWatch) offer(e *tree.Event) {
	r := c.sub
	if c.done || e.Index < c.from || !c.w.wants(e) {
		return
	}
	if isFull(r.found, r.bytes, e) {
		r.stop(e.Index)
		return
	}
	r.bytes += sizeOf(e)
	r.found = append(r.found, Delivery{Watch: c.w.ID, Event: e, Last: !c.w.Stream, w: c.w})
	if c.w.Stream {
		return
	}
	c.finish()
	if r.pending == 0 {
		r.stop(e.Index + 1)
	}
}

// stop ends this pass for r, which has to go on from cursor in another one.
func (r *catchUpSub) stop(cursor uint64) {
	r.stopped, r.cursor = true, cursor
	r.catchUp.running--
	for i := range r.watches {
		r.watches[i].finish()
	}
}

func (c *catchUpWatch) finish() {
	if c.done {
		return
	}
	c.done = true
	c.sub.pending--
	if all := c.sub.catchUp; all.unindexed == nil {
		all.finished = append(all.finished, &c.entry)
	}
}

// CaughtUp ends the pass c, and gives its subscribers what it has found. It is called when
// there is nothing left to scan.
func (h *Hub) CaughtUp(c *CatchUp) {
	h.catchUp = nil
	for _, r := range c.subs {
		if r.sub.gone {
			continue
		}
		if r.stopped {
			h.handBack(r, r.cursor, true)
		} else {
			h.handBack(r, c.end, false)
		}
	}
}

// handBack ends the pass of a subscriber, which gets what it has missed before the event with index
// cursor, and becomes current with what was published meanwhile, unless there is more to look for.
func (h *Hub) handBack(r *catchUpSub, cursor uint64, more bool) {
	s, found := r.sub, r.found
	published := s.ready
	undeliver(published)
	together := r.bytes + s.bytes
	s.ready = found
	h.weigh(s, r.bytes)
	for _, d := range found {
		if d.Last {
			d.w.final = d.Event
		}
	}
	if s.ending != nil {
		h.endWith(s, s.ending)
		h.enqueue(s)
		return
	}
	late := false
	for w := s.watches; w != nil; w = w.next {
		late = late || w.late
	}
	if !more && !late && !s.overflowed && len(found)+len(published) <= MaxReady && (len(found) == 0 || together <= maxReadyBytes) {
		h.become(s, current)
		for _, d := range published {
			h.offer(d.w, d.Event)
		}
		h.enqueue(s)
		return
	}
	h.become(s, behind)
	s.cursor, s.overflowed = cursor, false
	if late {
		h.rewindLate(s)
	}
	h.enqueue(s)
}

// rewindLate moves the cursor of s, which is behind, back to where the watches begin that were
// added while it was catching up.
func (h *Hub) rewindLate(s *subscriber) {
	cursor := s.cursor
	for w := s.watches; w != nil; w = w.next {
		if w.late {
			w.late = false
			s.cursor = min(s.cursor, w.from)
		} else {
			w.from = max(w.from, cursor)
		}
	}
}
