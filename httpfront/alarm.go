package httpfront

import (
	"sync"
	"time"
)

// alarm bounds the waits of a session for its answers. Its timer is not set for each of
// them: most answers come long before, and setting it costs a tenth of a local read. It
// goes off for a wait that has ended, and is set again then for the one under way.
type alarm struct {
	ring func() // called at the end of a wait or before, on a goroutine of its own

	mu    sync.Mutex
	id    uint64      // of the request that waits
	until time.Time   // zero if none does
	timer *time.Timer // nil before the first wait
	at    time.Time   // when it goes off, zero if it is not set
}

// begin starts the wait of a request.
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

// rings is for ring. It returns the ID of the request whose time is over.
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

// stop lets go of the timer.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}
