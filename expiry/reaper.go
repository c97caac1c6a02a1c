package expiry

import (
	"time"

	"etcd/store/logtime"
)

// retry is the delay of a round after one that has failed.
const retry = time.Second

// Reaper decides when to collect expired keys: in rounds, of which there is one at a time.
// The zero value does not lead and knows of no deadline.
type Reaper struct {
	leading bool
	next    logtime.Time // earliest deadline in the store; 0: none
	asked   bool         // the store was asked for expired keys and has not answered yet
	waiting int          // commands of the round in flight
	failed  bool         // one of its commands has failed
	after   logtime.Time // no round begins before
}

// Lead tells whether this machine leads the cluster.
func (r *Reaper) Lead(leading bool) {
	r.leading, r.after = leading, 0
}

// Next tells the earliest deadline in the store, 0 if there is none.
func (r *Reaper) Next(deadline logtime.Time) { r.next = deadline }

// Wake returns when to call Due next, 0 if not before Lead, Next, Begin or Answered was called.
func (r *Reaper) Wake() logtime.Time {
	if !r.leading || r.next == 0 || r.asked || r.waiting > 0 {
		return 0
	}
	return max(r.next, r.after)
}

// Due reports whether to ask the store now for the keys whose deadline has passed, which
// begins a round: the caller has to call Begin with the answer.
func (r *Reaper) Due(now logtime.Time) bool {
	wake := r.Wake()
	if wake == 0 || now < wake {
		return false
	}
	r.asked = true
	return true
}

// Begin takes the number of commands in the round and reports whether to propose them: not
// if this machine has stepped down. If it is true, Answered has to be called for each.
func (r *Reaper) Begin(commands int) bool {
	r.asked = false
	if !r.leading {
		return false
	}
	r.waiting = commands
	return true
}

// Answered takes the outcome of a command of the round. If the round has failed, the next one
// waits for the delay, and has the keys that are left.
func (r *Reaper) Answered(done bool, now logtime.Time) {
	r.failed = r.failed || !done
	if r.waiting--; r.waiting > 0 {
		return
	}
	if r.failed {
		r.after = now.Add(retry)
	}
	r.failed = false
}
