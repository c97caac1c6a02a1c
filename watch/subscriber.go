package watch

import "etcd/store/tree"

// MaxReady is how many deliveries are kept ready for one subscriber, besides those that
// a writer has taken.
const MaxReady = 64

// subscriber is one connection or stream. Everything before its first delivery that is
// ready, or before its cursor if there is none, it has got, or does not want.
type subscriber struct {
	id    uint64
	token any
	state state
	// taken says that a writer has deliveries which it has not written out yet. Until
	// then it gets no others.
	taken bool
	gone  bool
	// missed says, of one that is being caught up, that it could not keep what was
	// published meanwhile.
	missed bool

	watches *watcher
	ready   []Delivery
	// cursor is the first event that may be missing behind ready, in state behind.
	cursor uint64

	queue      *queue // in which it waits, nil: in none
	prev, next *subscriber
}

// state is how a subscriber gets its events.
type state uint8

const (
	// current subscribers get what is published.
	current state = iota
	// behind is who has to be caught up from the history. What is published does not
	// concern it.
	behind
	// catching is who is being caught up from a view of the history, and gets what is
	// published after that view behind it.
	catching
)

// watcher is one watch of a subscriber.
type watcher struct {
	Watcher
	sub *subscriber // nil: it is gone
	// from is the index from which on events are wanted that were not handed to a writer.
	from uint64
	// found is the event that is ready and will be its last; nil: none yet.
	found *tree.Event
	// late says that it was added while its subscriber was being caught up, and begins
	// before the end of that.
	late bool

	spot       spot[*watcher]
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

// hasOnly says that s has no watch but w, and nothing to get before what is published now.
func (s *subscriber) hasOnly(w *watcher) bool {
	return s.state == current && !s.taken && len(s.ready) == 0 && s.watches == w && w.next == nil
}

// fallBehind drops what is ready: s has to be caught up from the first event of that, or
// from next, which is the first event that it has not been offered.
func (s *subscriber) fallBehind(next uint64) {
	s.state, s.cursor = behind, next
	if len(s.ready) > 0 {
		s.cursor = s.ready[0].Event.Index
	}
	drop(s.ready)
	s.ready = nil
}

// drop takes deliveries back that will not be made.
func drop(deliveries []Delivery) {
	for _, d := range deliveries {
		if d.w.found == d.Event {
			d.w.found = nil
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

// leave takes s out of the queue in which it waits.
func (s *subscriber) leave() {
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
