package watch

import (
	"etcd/store/tree"
)

const (
	// maxChasers bounds how many subscribers are caught up by one pass over the history.
	maxChasers = 1024
	// fewChases is up to how many watches are compared with each event one after the other.
	// For more of them there is a tree of their paths.
	fewChases = 16
)

// CatchUp looks for what subscribers that are behind have missed, in a view of the
// history. While it does so it shares nothing with the hub that changes, so it may have
// a goroutine of its own.
type CatchUp struct {
	view     tree.History
	at, end  uint64 // the next event to look at, and the one behind the view
	chasers  []*chaser
	running  int             // chasers that do not have enough yet
	paths    paths[*chase]   // of many chases
	few      []chase         // all of them, if they are few
	finished []*spot[*chase] // to be taken out of paths
}

// chaser is a subscriber that is being caught up.
type chaser struct {
	catchUp *CatchUp
	sub     *subscriber
	chases  []chase
	wanting int // chases that want something
	found   []Delivery
	// stopped says that it has enough, and behind which events it has to go on: from cursor.
	stopped bool
	cursor  uint64
}

// chase is a watch of a subscriber that is being caught up.
type chase struct {
	chaser *chaser
	w      *watcher // what never changes of it is looked at only
	from   uint64
	done   bool
	spot   spot[*chase]
}

// CatchUp begins to catch up with the history those who wait for it; nil if nobody does,
// or if it is being done.
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
		if len(s.ready) > 0 { // it hears of that first
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

// Scan looks at some more events, at most so many, and says whether there are others.
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

// stop has r go on from cursor another time.
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

// CaughtUp takes those for whom c has looked back, when there is nothing left to scan.
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

// handBack ends that s is being caught up: found is what it has missed before the event
// cursor. It gets that, and what was published meanwhile, unless there is more to look for.
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

// rewindLate has s, which is behind, caught up from where the watches begin that were added
// while it was being caught up.
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
