package expiry

import (
	"time"

	"etcd/store/logtime"
)

// retryDelay is the delay of a round after one that has failed.
const retryDelay = time.Second

// Reaper decides when to collect expired keys: in rounds, of which there is one at a time.
// The zero value does not lead and knows of no deadline.
type Reaper struct {
	leading   bool
	next      logtime.Time // earliest deadline in the store; 0: none
	querying  bool         // the store was asked for expired keys and has not answered yet
	inFlight  int          // commands of the round in flight
	failed    bool         // one of its commands has failed
	notBefore logtime.Time // no round begins before
}

// SetLeading tells whether this machine leads the cluster.
func (r *Reaper) SetLeading(leading bool) {
	r.leading, r.notBefore = leading, 0
}

// SetNext tells the earliest deadline in the store, 0 if there is none.
func (r *Reaper) SetNext(deadline logtime.Time) { r.next = deadline }

// Wake returns when to call Due next, 0 if not before Lead, Next, Begin or Answered was called.
func (r *Reaper) Wake() logtime.Time {
	if !r.leading || r.next == 0 || r.querying || r.inFlight > 0 {
		return 0
	}
	return max(r.next, r.notBefore)
}

// Due reports whether to ask the store now for the keys whose deadline has passed, which
// begins a round: the caller has to call Begin with the answer.
func (r *Reaper) Due(now logtime.Time) bool {
	wake := r.Wake()
	if wake == 0 || now < wake {
		return false
	}
	r.querying = true
	return true
}

// Begin takes the number of commands in the round and reports whether to propose them: not
// if this machine has stepped down. If it is true, Answered has to be called for each.
func (r *Reaper) Begin(commands int) bool {
	r.querying = false
	if !r.leading {
		return false
	}
	r.inFlight = commands
	return true
}

// Answered takes the outcome of a command of the round. If the round has failed, the next one
// waits for the delay, and has the keys that are left.
func (r *Reaper) Answered(done bool, now logtime.Time) {
	r.failed = r.failed || !done
	if r.inFlight--; r.inFlight > 0 {
		return
	}
	if r.failed {
		r.notBefore = now.Add(retryDelay)
	}
	r.failed = false
}
