package httpfront

import (
	"sync"
	"time"
)

// alarm is the timeout of a session's waits for answers. Its timer is not reset for each
// wait: most answers come long before, and a reset costs a tenth of a local read. So it may
// fire for a wait that has ended, and is reset then for the current one.
type alarm struct {
	ring func() // called when the timer fires: at the deadline of a wait or before, on a goroutine of its own

	mu    sync.Mutex
	id    uint64      // of the request that is waited for
	until time.Time   // deadline of that wait; zero: there is none
	timer *time.Timer // nil before the first wait
	at    time.Time   // when it fires; zero: it is not set
}

// begin starts the wait for the answer to a request.
func (a *alarm) begin(id uint64, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id, a.until = id, until
	if !a.at.IsZero() && !until.Before(a.at) {
		return
	}
	a.at = until
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(until), a.ring)
		return
	}
	a.timer.Reset(time.Until(until))
}

// end ends the wait.
func (a *alarm) end() {
	a.mu.Lock()
	a.until = time.Time{}
	a.mu.Unlock()
}

// rings is called by ring. It returns the ID of the request, and whether its deadline has
// passed; otherwise it resets the timer for the wait, if there is one.
func (a *alarm) rings() (id uint64, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Time{}
	if a.until.IsZero() {
		return 0, false
	}
	left := time.Until(a.until)
	if left > 0 {
		a.at = a.until
		a.timer.Reset(left)
	}
	return a.id, left <= 0
}

// stop stops the timer.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}
