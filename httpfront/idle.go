package httpfront

import (
	"sync"
	"time"
)

// idleConns are the connections that are parked until their next request, in the order in
// which they were. The oldest is closed after idleTimeout.
type idleConns struct {
	mu          sync.Mutex
	first, last *conn
	timer       *time.Timer
	runs        bool // the timer does, as long as there are any, and perhaps a little longer
	closed      bool
}

// add adds a connection, and reports whether it could: not when they are closed.
func (l *idleConns) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	c.idleSince, c.idlePrev = time.Now(), l.last
	if l.last == nil {
		l.first = c
		if !l.runs {
			l.wake(idleTimeout)
		}
	} else {
		l.last.idleNext = c
	}
	l.last = c
	return true
}

// take removes a connection whose next request has arrived, and counts it. It reports whether
// it was there.
func (l *idleConns) take(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.has(c) {
		return false
	}
	l.drop(c)
	c.count()
	return true
}

// remove removes a connection, if it is there.
func (l *idleConns) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.has(c) {
		l.drop(c)
	}
}

func (l *idleConns) has(c *conn) bool { return l.first == c || c.idlePrev != nil }

func (l *idleConns) drop(c *conn) {
	if c.idlePrev == nil {
		l.first = c.idleNext
	} else {
		c.idlePrev.idleNext = c.idleNext
	}
	if c.idleNext == nil {
		l.last = c.idlePrev
	} else {
		c.idleNext.idlePrev = c.idlePrev
	}
	c.idlePrev, c.idleNext = nil, nil
}

func (l *idleConns) wake(in time.Duration) {
	l.runs = true
	if l.timer == nil {
		l.timer = time.AfterFunc(in, l.expire)
		return
	}
	l.timer.Reset(in)
}

// expire closes the connections that have been idle for too long.
func (l *idleConns) expire() {
	for _, c := range l.overdue(time.Now().Add(-idleTimeout)) {
		_ = c.end() // there is nobody left to tell
	}
}

// overdue removes those that have been idle since a time or longer.
func (l *idleConns) overdue(since time.Time) (all []*conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = false
	for l.first != nil && !l.first.idleSince.After(since) {
		all = append(all, l.first)
		l.drop(l.first)
	}
	if l.first != nil && !l.closed {
		l.wake(l.first.idleSince.Sub(since))
	}
	return all
}

// close closes all, and every one that is added later is refused.
func (l *idleConns) close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	for _, c := range l.overdue(time.Now()) {
		_ = c.end() // there is nobody left to tell
	}
}
