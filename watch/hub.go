package watch

import (
	"cmp"
	"maps"
	"slices"

	"etcd/store/tree"
)

// Hub holds the subscribers and their watches. It is not safe for concurrent use.
type Hub struct {
	history tree.History
	subs    map[uint64]*subscriber
	paths   paths[*watcher]
	watches int
	states  [3]int // how many subscribers are in each state
	// readyBytes is how many bytes the values in all ready lists have, and maxStalled their bound, see
	// maxStalledBytes.
	readyBytes, maxStalled int
	// leaderless is the error that ends and refuses watches which need a leader; nil: there is one.
	leaderless error

	// done: their only watch has its last event, and they are forgotten but for that delivery.
	// due: they have deliveries ready, and no writer has a batch of theirs. waiting: they have
	// to catch up. No subscriber is in two of these queues.
	done, due, waiting queue
	catchUp            *CatchUp // the pass under way; nil: none
}

// NewHub returns a hub without subscribers, with the given history.
func NewHub(history tree.History) *Hub {
	return &Hub{
		history: history,
		subs:    make(map[uint64]*subscriber),
		paths:   newPaths[*watcher](0),

		maxStalled: maxStalledBytes,
	}
}

// next returns the index of the first event that was not published yet, or less.
func (h *Hub) next() uint64 { return end(h.history) }

// Index returns the index up to which every event was published.
func (h *Hub) Index() uint64 { return h.next() - 1 }

func end(history tree.History) uint64 { return max(history.Last(), history.Cleared()) + 1 }

// Add adds a watch to a subscriber; the first one also adds the subscriber. token goes
// with its batches. A watch from an index in the past has to catch up; if the history does
// not reach back that far, the error is a *ClearedError and nothing is added. Neither is a watch that
// needs a leader while there is none; the error is that of Leaderless.
func (h *Hub) Add(id uint64, token any, watch Watcher) error {
	next := h.next()
	if watch.NeedsLeader && h.leaderless != nil {
		return h.leaderless
	}
	if watch.Since > 0 {
		if err := clearedError(h.history, watch.Since); err != nil {
			return err
		}
	}
	s := h.subs[id]
	if s == nil {
		s = &subscriber{id: id, token: token}
		h.subs[id] = s
		h.states[current]++
	}
	w := &watcher{Watcher: watch, from: cmp.Or(watch.Since, next)}
	w.entry.value = w
	s.add(w)
	h.paths.add(w.Path, &w.entry)
	h.watches++
	if w.from < next {
		h.rewind(s, w, next)
	}
	return nil
}

// rewind makes s catch up from where w begins.
func (h *Hub) rewind(s *subscriber, w *watcher, next uint64) {
	switch s.state {
	case catchingUp:
		w.late = true
		return
	case current:
		s.dequeue()
		h.fallBehind(s, next)
	}
	for other := s.watches; other != nil; other = other.next {
		if other != w { // the others got, or did not want, the events before the cursor
			other.from = max(other.from, s.cursor)
		}
	}
	s.cursor = min(s.cursor, w.from)
	h.enqueue(s)
}

// enqueue puts s into the queue in which it has to wait, if any.
func (h *Hub) enqueue(s *subscriber) {
	switch {
	case s.queue != nil || s.writing || s.state == catchingUp:
	case len(s.ready) > 0:
		h.due.push(s)
	case s.state == behind:
		h.waiting.push(s)
	case s.beat || s.over:
		h.due.push(s)
	}
}

// Beat asks for a sign of life: a batch of the subscriber, without deliveries if there are none, as
// soon as it has caught up and a batch that a writer has is written.
func (h *Hub) Beat(id uint64) {
	if s := h.subs[id]; s != nil {
		s.beat = true
		h.enqueue(s)
	}
}

// GiveUp ends the watches of a subscriber as soon as it has caught up and nothing is left to be
// delivered: with a last batch without deliveries, unless a delivery is the last.
func (h *Hub) GiveUp(id uint64) {
	if s := h.subs[id]; s != nil {
		s.over = true
		h.enqueue(s)
	}
}

// Remove forgets a subscriber and its watches. It is no error if there is none with that
// ID: its last event may be on the way.
func (h *Hub) Remove(id uint64) {
	s := h.subs[id]
	if s == nil {
		return
	}
	h.endAll(s)
	h.forget(s)
}

func (h *Hub) endAll(s *subscriber) {
	for s.watches != nil {
		h.end(s.watches)
	}
}

// end removes a watch.
func (h *Hub) end(w *watcher) {
	h.unindex(w)
	w.sub.remove(w)
}

// unindex stops offering events to w.
func (h *Hub) unindex(w *watcher) {
	h.paths.remove(&w.entry)
	h.watches--
}

func (h *Hub) forget(s *subscriber) {
	s.gone = true
	s.dequeue()
	h.weigh(s, 0)
	delete(h.subs, s.id)
	h.states[s.state]--
}

// Publish offers new events to the watches. history includes them, as its newest.
func (h *Hub) Publish(events []*tree.Event, history tree.History) {
	h.history = history
	if h.watches == 0 {
		return
	}
	for _, e := range events {
		h.paths.match(e, func(w *watcher) { h.offer(w, e) })
	}
}

// offer adds e to the ready list if w wants it.
func (h *Hub) offer(w *watcher, e *tree.Event) {
	s := w.sub
	if s.state == behind || s.overflowed || w.final != nil || e.Index < w.from || !w.wants(e) {
		return
	}
	if !w.Stream && s.hasOnly(w) {
		w.final = e
		h.unindex(w)
		h.forget(s)
		h.done.push(s)
		return
	}
	if !h.hasRoom(s, e) {
		h.overflow(s, e.Index)
		return
	}
	s.ready = append(s.ready, w.deliver(e))
	h.weigh(s, s.bytes+sizeOf(e))
	h.enqueue(s)
}

// overflow drops the ready list of s, which has no room for the event with index next: s has to catch up.
func (h *Hub) overflow(s *subscriber, next uint64) {
	if s.state == catchingUp {
		s.overflowed = true
		h.dropReady(s)
		return
	}
	s.dequeue()
	h.fallBehind(s, next)
	h.enqueue(s)
}

// deliver returns the delivery of e to w, the last one unless w is a stream.
func (w *watcher) deliver(e *tree.Event) Delivery {
	if !w.Stream {
		w.final = e
	}
	return Delivery{Watch: w.ID, Event: e, Last: !w.Stream, w: w}
}

// Batch is a list of deliveries to one subscriber, in order.
type Batch struct {
	Subscriber uint64
	Token      any
	Deliveries []Delivery
	// Index is where the subscriber may go on elsewhere: with this batch it has all events up to
	// that index, inclusive, that the watches want which it still has. Of a last batch it is the index
	// of the event that has ended the last watch, or else that of the newest event.
	Index uint64
	// Last means that the subscriber has no watches any more and is forgotten. Otherwise
	// it gets no other batch until Written is called.
	Last bool
}

// Next returns the next batches for a writer, for the given number of subscribers at most; nil
// if nothing is ready. Subscribers that are done come first: their batches are their last.
func (h *Hub) Next(subscribers int) []Batch {
	n := min(h.done.len+h.due.len, subscribers)
	if n == 0 {
		return nil
	}
	batches := h.takeDone(make([]Batch, 0, n))
	for len(batches) < n {
		batches = append(batches, h.take(h.due.first))
	}
	return batches
}

// takeDone appends the batches of subscribers that are done, up to the capacity of batches.
func (h *Hub) takeDone(batches []Batch) []Batch {
	deliveries := make([]Delivery, min(h.done.len, cap(batches))) // one for each
	for i := range deliveries {
		s := h.done.first
		s.dequeue()
		deliveries[i] = Delivery{Watch: s.watches.ID, Event: s.watches.final, Last: true}
		batches = append(batches, Batch{Subscriber: s.id, Token: s.token, Deliveries: deliveries[i : i+1 : i+1],
			Index: s.watches.final.Index, Last: true})
	}
	return batches
}

// take takes the ready list of s as a batch.
func (h *Hub) take(s *subscriber) Batch {
	s.dequeue()
	b := Batch{Subscriber: s.id, Token: s.token, Deliveries: s.ready}
	s.ready, s.beat = nil, false
	h.weigh(s, 0)
	for _, d := range b.Deliveries {
		w := d.w
		if d.Event != nil {
			w.from = max(w.from, d.Event.Index+1)
		}
		if d.Last && w.sub != nil {
			h.end(w)
		}
	}
	if s.over && len(b.Deliveries) == 0 {
		h.endAll(s)
	}
	b.Index = h.has(s, b.Deliveries)
	if b.Last = s.watches == nil; b.Last {
		h.forget(s)
	} else {
		s.writing = true
	}
	return b
}

// has returns the Index of a batch of s, whose ready list is empty now.
func (h *Hub) has(s *subscriber, batch []Delivery) uint64 {
	switch {
	case s.watches == nil:
		if n := len(batch); n > 0 && batch[n-1].Event != nil {
			return batch[n-1].Event.Index
		}
	case s.state == behind:
		return s.cursor - 1
	}
	return h.Index()
}

// Written tells the hub that the batch of a subscriber was written.
func (h *Hub) Written(id uint64) {
	if s := h.subs[id]; s != nil {
		s.writing = false
		h.enqueue(s)
	}
}

// fail ends w with an error, as its last delivery.
func (h *Hub) fail(w *watcher, err error) {
	s := w.sub
	s.ready = append(s.ready, Delivery{Watch: w.ID, Err: err, Last: true, w: w})
	h.end(w)
}

// Replace replaces the history, because the state was replaced by that of a snapshot: all
// subscribers have to catch up with it. Watches that may have missed events which it no
// longer has end with the error lost; those of a subscriber that is catching up with a
// [ClearedError], when its pass is over.
func (h *Hub) Replace(history tree.History, lost error) {
	next := h.next()
	h.history = history
	for _, s := range h.sorted() {
		switch s.state {
		case catchingUp:
			h.overflow(s, next)
			continue
		case current:
			s.dequeue()
			h.fallBehind(s, next)
		}
		h.endCleared(s, func(uint64) error { return lost })
		h.enqueue(s)
	}
}

// endCleared ends the watches of s, which is behind, that may want events which the history no
// longer has.
func (h *Hub) endCleared(s *subscriber, why func(requested uint64) error) {
	newest := h.history.Cleared()
	if s.cursor > newest {
		return
	}
	for w := s.watches; w != nil; {
		following := w.next
		if from := max(w.from, s.cursor); w.final == nil && from <= newest {
			h.fail(w, why(from))
		}
		w = following
	}
}

// Clear forgets all subscribers and returns batches that end their watches with err, in the
// order of subscriber IDs.
func (h *Hub) Clear(err error) []Batch {
	var batches []Batch
	for _, s := range h.sorted() {
		b := Batch{Subscriber: s.id, Token: s.token, Last: true}
		for s.watches != nil {
			b.Deliveries = append(b.Deliveries, Delivery{Watch: s.watches.ID, Err: err, Last: true})
			h.end(s.watches)
		}
		h.forget(s)
		batches = append(batches, b)
	}
	return batches
}

// sorted returns all subscribers in the order of their IDs, so that deliveries come in the
// same order in every run.
func (h *Hub) sorted() []*subscriber {
	return slices.SortedFunc(maps.Values(h.subs), func(a, b *subscriber) int { return cmp.Compare(a.id, b.id) })
}
