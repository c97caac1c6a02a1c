package watch

import "etcd/store/tree"

// MaxReady is how many deliveries the ready list of a subscriber can hold, besides those
// that a writer has taken.
const MaxReady = 64

const (
	// maxReadyBytes bounds the values in a ready list, in bytes. Its first event is taken whatever its size:
	// one that is larger than the history would never be delivered otherwise.
	maxReadyBytes = 1 << 20
	// maxStalledBytes bounds, in bytes, the values in all ready lists together beyond which those that wait
	// for a batch to be written take no more.
	maxStalledBytes = 64 << 20
)

// subscriber is one connection or stream. Of the events before the first one on its ready
// list, or before its cursor if the list is empty, it has got all that it wants.
type subscriber struct {
	id    uint64
	token any
	state state
	// writing: a writer has a batch of it that is not written yet. Until then no writer gets
	// another.
	writing bool
	gone    bool
	// beat: it wants a batch as soon as it is current, even one without deliveries. over: then it is
	// to end with that.
	beat, over bool
	// overflowed: while it was catching up, its ready list overflowed and was dropped.
	overflowed bool
	// ending is the error with which its watches end when it has caught up; nil: none.
	ending error

	watches *watcher
	ready   []Delivery
	// bytes is how many the values in ready have.
	bytes int
	// cursor is the index of the first event after ready that it may have missed, in state
	// behind.
	cursor uint64

	queue      *queue // in which it waits; nil: in none
	prev, next *subscriber
}

// state is how a subscriber gets its events.
type state uint8

const (
	// current: it is offered what is published.
	current state = iota
	// behind: it waits to catch up from the history, and is not offered what is published.
	behind
	// catchingUp: it is catching up from a view of the history. What is published after that
	// view goes to its ready list, and is delivered after what is found in the view.
	catchingUp
)

// watcher is one watch of a subscriber.
type watcher struct {
	Watcher
	sub *subscriber // nil: it is gone
	// from is the index of the first event that may still have to be handed to a writer.
	from uint64
	// final is its last event, which is ready; nil: none yet.
	final *tree.Event
	// late: it was added while its subscriber was catching up, and begins in the past.
	late bool

	entry      pathEntry[*watcher]
	prev, next *watcher // of the same subscriber
}

func (s *subscriber) add(w *watcher) {
	w.sub, w.next = s, s.watches
	if w.next != nil {
		w.next.prev = w
	}
	s.watches = w
}

func (s *subscriber) remove(w *watcher) {
	if w.prev == nil {
		s.watches = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.sub, w.prev, w.next = nil, nil, nil
}

// hasOnly reports whether s has no watch but w, and no deliveries before what is published now.
func (s *subscriber) hasOnly(w *watcher) bool {
	return s.state == current && !s.writing && len(s.ready) == 0 && s.watches == w && w.next == nil
}

// fallBehind drops the ready list of s, which has to catch up from the first event on it, or
// from next, the index of the first event that it has not been offered.
func (h *Hub) fallBehind(s *subscriber, next uint64) {
	h.become(s, behind)
	s.cursor = next
	if len(s.ready) > 0 {
		s.cursor = s.ready[0].Event.Index
	}
	h.dropReady(s)
}

// dropReady empties the ready list of s, whose deliveries will not be made.
func (h *Hub) dropReady(s *subscriber) {
	undeliver(s.ready)
	s.ready = nil
	h.weigh(s, 0)
}

// weigh sets how many bytes the values in the ready list of s have.
func (h *Hub) weigh(s *subscriber, bytes int) {
	h.readyBytes += bytes - s.bytes
	s.bytes = bytes
}

// hasRoom reports whether there is room for an event in the ready list of s.
func (h *Hub) hasRoom(s *subscriber, e *tree.Event) bool {
	return !isFull(s.ready, s.bytes, e) && !(s.writing && h.readyBytes+sizeOf(e) > h.maxStalled)
}

// isFull reports whether a ready list with so many bytes has no room for an event.
func isFull(ready []Delivery, bytes int, e *tree.Event) bool {
	return len(ready) == MaxReady || len(ready) > 0 && bytes+sizeOf(e) > maxReadyBytes
}

// sizeOf returns how many bytes the values of an event have.
func sizeOf(e *tree.Event) int {
	n := len(e.Node.Value)
	if e.Prev != nil {
		n += len(e.Prev.Value)
	}
	return n
}

// undeliver undoes deliveries that will not be made.
func undeliver(deliveries []Delivery) {
	for _, d := range deliveries {
		if d.w.final == d.Event {
			d.w.final = nil
		}
	}
}

// queue is a list of subscribers that wait. Each is in one queue at most.
type queue struct {
	first, last *subscriber
	len         int
}

func (q *queue) push(s *subscriber) {
	s.queue, s.prev, s.next = q, q.last, nil
	if q.last == nil {
		q.first = s
	} else {
		q.last.next = s
	}
	q.last = s
	q.len++
}

// dequeue takes s out of the queue in which it waits.
func (s *subscriber) dequeue() {
	q := s.queue
	if q == nil {
		return
	}
	if s.prev == nil {
		q.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		q.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.queue, s.prev, s.next = nil, nil, nil
	q.len--
}
