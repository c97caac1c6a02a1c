package actors

import (
	"sync"
	"time"
)

// WaitTimer is the timeout of a session's waits for answers. Its timer is not reset for each
// wait: most answers come long before, and a reset costs a tenth of a local read. So it may
// fire for a wait that has ended, and is reset then for the current one.
type WaitTimer struct {
	OnFire func() // called when the timer fires: at the deadline of a wait or before, on a goroutine of its own

	mu       sync.Mutex
	id       uint64      // of the request that is waited for
	deadline time.Time   // deadline of that wait; zero: there is none
	timer    *time.Timer // nil before the first wait
	firesAt  time.Time   // when it fires; zero: it is not set
}

// Begin starts the wait for the answer to a request.
func (a *WaitTimer) Begin(id uint64, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id, a.deadline = id, until
	if !a.firesAt.IsZero() && !until.Before(a.firesAt) {
		return
	}
	a.firesAt = until
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(until), a.OnFire)
		return
	}
	a.timer.Reset(time.Until(until))
}

// End ends the wait.
func (a *WaitTimer) End() {
	a.mu.Lock()
	a.deadline = time.Time{}
	a.mu.Unlock()
}

// Fired is called by OnFire. It returns the ID of the request, and whether its deadline has
// passed; otherwise it resets the timer for the wait, if there is one.
func (a *WaitTimer) Fired() (id uint64, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.firesAt = time.Time{}
	if a.deadline.IsZero() {
		return 0, false
	}
	left := time.Until(a.deadline)
	if left > 0 {
		a.firesAt = a.deadline
		a.timer.Reset(left)
	}
	return a.id, left <= 0
}

// Stop stops the timer.
func (a *WaitTimer) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}
