package httpfront

import (
	"sync"
	"time"
)

// aging are connections, or streams, that wait, in the order in which they began to. Those that have
// waited for a time are taken out and are due.
type aging[T aged[T]] struct {
	after time.Duration
	due   func(T)

	mu          sync.Mutex
	first, last T
	timer       *time.Timer
	runs        bool // the timer does, as long as there are any, and perhaps a little longer
	closed      bool
}

// aged is what can be aging: it has links, for one list.
type aged[T any] interface {
	comparable
	agingLinks() *agingLinks[T]
}

type agingLinks[T any] struct {
	since      time.Time
	prev, next T
}

// add adds one that has just begun to wait, and reports whether it could: not when they are closed.
func (l *aging[T]) add(one T) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	var none T
	links := one.agingLinks()
	links.since, links.prev = time.Now(), l.last
	if l.last == none {
		l.first = one
		if !l.runs {
			l.wake(l.after)
		}
	} else {
		l.last.agingLinks().next = one
	}
	l.last = one
	return true
}

// take removes one, and calls then before anybody can see that. It reports whether it was there.
func (l *aging[T]) take(one T, then func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var none T
	if l.first != one && one.agingLinks().prev == none {
		return false
	}
	l.drop(one)
	then()
	return true
}

// remove removes one, if it is there.
func (l *aging[T]) remove(one T) { l.take(one, func() {}) }

func (l *aging[T]) drop(one T) {
	var none T
	links := one.agingLinks()
	if links.prev == none {
		l.first = links.next
	} else {
		links.prev.agingLinks().next = links.next
	}
	if links.next == none {
		l.last = links.prev
	} else {
		links.next.agingLinks().prev = links.prev
	}
	links.prev, links.next = none, none
}

func (l *aging[T]) wake(in time.Duration) {
	l.runs = true
	if l.timer == nil {
		l.timer = time.AfterFunc(in, l.expire)
		return
	}
	l.timer.Reset(in)
}

func (l *aging[T]) expire() {
	for _, one := range l.overdue(time.Now().Add(-l.after)) {
		l.due(one)
	}
}

// overdue removes those that have waited since a time or longer.
func (l *aging[T]) overdue(since time.Time) (all []T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = false
	var none T
	for l.first != none && !l.first.agingLinks().since.After(since) {
		all = append(all, l.first)
		l.drop(l.first)
	}
	if l.first != none && !l.closed {
		l.wake(l.first.agingLinks().since.Sub(since))
	}
	return all
}

// close removes and returns all, and every one that is added later is refused.
func (l *aging[T]) close() (all []T) {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	return l.overdue(time.Now())
}
