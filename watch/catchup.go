package watch

import (
	"etcd/store/tree"
)

const (
	// maxChasers bounds how many subscribers catch up in one pass over the history.
	maxChasers = 1024
	// fewChases is how many watches at most are compared with each event one by one. More of
	// them are indexed in a tree of their paths.
	fewChases = 16
)

// CatchUp is one pass over a view of the history, for what subscribers that are behind have
// missed. Meanwhile it shares nothing mutable with the hub, so it may run on a goroutine of
// its own.
type CatchUp struct {
	view     tree.History
	at, end  uint64 // index of the next event to scan, and of the first one after the view
	chasers  []*chaser
	running  int             // chasers that have not stopped yet
	paths    paths[*chase]   // all chases, if they are many
	few      []chase         // all chases, if they are few
	finished []*spot[*chase] // to be removed from paths
}

// chaser is a subscriber that is catching up.
type chaser struct {
	catchUp *CatchUp
	sub     *subscriber
	chases  []chase
	wanting int // chases that are not done
	found   []Delivery
	// stopped: it needs no more of this pass, and has to go on from cursor in another one.
	stopped bool
	cursor  uint64
}

// chase is a watch of a subscriber that is catching up.
type chase struct {
	chaser *chaser
	w      *watcher // only its immutable fields are read during the pass
	from   uint64
	done   bool
	spot   spot[*chase]
}

// CatchUp begins a pass for the subscribers that wait for one; nil if none does, or if a pass
// is under way.
func (h *Hub) CatchUp() *CatchUp {
	if h.catchUp != nil || h.waiting.first == nil {
		return nil
	}
	c := &CatchUp{view: h.history, at: h.next(), end: h.next()}
	watches := 0
	for range maxChasers {
		s := h.waiting.first
		if s == nil {
			break
		}
		s.leave()
		h.endLost(s, func(requested uint64) error { return cleared(h.history, requested) })
		if len(s.ready) > 0 { // errors, which are delivered first
			h.queue(s)
			continue
		}
		s.state = catching
		c.at = min(c.at, s.cursor)
		c.chasers = append(c.chasers, &chaser{catchUp: c, sub: s})
		for w := s.watches; w != nil; w = w.next {
			watches++
		}
	}
	if len(c.chasers) == 0 {
		return nil
	}
	c.running = len(c.chasers)
	chases := make([]chase, 0, watches)
	for _, r := range c.chasers {
		first := len(chases)
		for w := r.sub.watches; w != nil; w = w.next {
			chases = append(chases, chase{chaser: r, w: w, from: max(w.from, r.sub.cursor)})
		}
		r.chases = chases[first:]
		r.wanting = len(r.chases)
	}
	if len(chases) <= fewChases {
		c.few = chases
	}
	h.catchUp = c
	return c
}

// Scan goes on with the pass, for the given number of events at most, and reports whether
// there are more.
func (c *CatchUp) Scan(events int) (more bool) {
	if c.few == nil && c.paths.places == nil {
		c.index()
	}
	for e := range c.view.From(c.at) {
		if events == 0 {
			return true
		}
		events--
		c.look(e)
		c.at = e.Index + 1
		if c.running == 0 {
			break
		}
	}
	return false
}

func (c *CatchUp) index() {
	c.paths = newPaths[*chase](len(c.chasers))
	for _, r := range c.chasers {
		for i := range r.chases {
			chase := &r.chases[i]
			chase.spot.value = chase
			c.paths.add(chase.w.Path, &chase.spot)
		}
	}
}

func (c *CatchUp) look(e *tree.Event) {
	if c.few != nil {
		for i := range c.few {
			c.few[i].offer(e)
		}
		return
	}
	c.paths.match(e, func(chase *chase) { chase.offer(e) })
	for _, s := range c.finished {
		c.paths.remove(s)
	}
	c.finished = c.finished[:0]
}

// offer takes e if the watch wants it.
func (c *chase) offer(e *tree.Event) {
	r := c.chaser
	if c.done || e.Index < c.from || !c.w.wants(e) {
		return
	}
	if len(r.found) == MaxReady {
		r.stop(e.Index)
		return
	}
	r.found = append(r.found, Delivery{Watch: c.w.ID, Event: e, Last: !c.w.Stream, w: c.w})
	if c.w.Stream {
		return
	}
	c.finish()
	if r.wanting == 0 {
		r.stop(e.Index + 1)
	}
}

// stop ends this pass for r, which has to go on from cursor in another one.
func (r *chaser) stop(cursor uint64) {
	r.stopped, r.cursor = true, cursor
	r.catchUp.running--
	for i := range r.chases {
		r.chases[i].finish()
	}
}

func (c *chase) finish() {
	if c.done {
		return
	}
	c.done = true
	c.chaser.wanting--
	if all := c.chaser.catchUp; all.few == nil {
		all.finished = append(all.finished, &c.spot)
	}
}

// CaughtUp ends the pass c, and gives its subscribers what it has found. It is called when
// there is nothing left to scan.
func (h *Hub) CaughtUp(c *CatchUp) {
	h.catchUp = nil
	for _, r := range c.chasers {
		if r.sub.gone {
			continue
		}
		if r.stopped {
			h.handBack(r.sub, r.found, r.cursor, true)
		} else {
			h.handBack(r.sub, r.found, c.end, false)
		}
	}
}

// handBack ends a pass for s: found is what s has missed before the event with index cursor.
// It gets that, and becomes current with what was published meanwhile, unless there is more to
// look for.
func (h *Hub) handBack(s *subscriber, found []Delivery, cursor uint64, more bool) {
	published := s.ready
	drop(published)
	s.ready = found
	for _, d := range found {
		if d.Last {
			d.w.found = d.Event
		}
	}
	late := false
	for w := s.watches; w != nil; w = w.next {
		late = late || w.late
	}
	if !more && !late && !s.missed && len(found)+len(published) <= MaxReady {
		s.state = current
		for _, d := range published {
			h.offer(d.w, d.Event)
		}
		h.queue(s)
		return
	}
	s.state, s.cursor, s.missed = behind, cursor, false
	if late {
		h.rewindLate(s)
	}
	h.queue(s)
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
