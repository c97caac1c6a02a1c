package expiry

import (
	"time"

	"etcd/store/logtime"
)

// retry is how long a round waits after one that has failed.
const retry = time.Second

// Reaper decides when to collect expired keys: in rounds, of which there is one at a time.
// The zero value does not lead and knows of no deadline.
type Reaper struct {
	leading bool
	next    logtime.Time // earliest deadline in the store; 0: none
	asked   bool         // the store was asked for a round and has not answered yet
	waiting int          // commands of the round that are not answered yet
	failed  bool         // one of its commands was not carried out
	after   logtime.Time // there is no round before
}

// Lead tells whether this machine leads the cluster.
func (r *Reaper) Lead(leading bool) {
	r.leading, r.after = leading, 0
}

// Next tells the earliest deadline in the store, 0 if there is none.
func (r *Reaper) Next(deadline logtime.Time) { r.next = deadline }

// Wake returns when Due is worth calling, 0 for not before something is told.
func (r *Reaper) Wake() logtime.Time {
	if !r.leading || r.next == 0 || r.asked || r.waiting > 0 {
		return 0
	}
	return max(r.next, r.after)
}

// Due says whether the store is to be asked now for what has expired, which begins a
// round: Begin has to be called with the answer.
func (r *Reaper) Due(now logtime.Time) bool {
	wake := r.Wake()
	if wake == 0 || now < wake {
		return false
	}
	r.asked = true
	return true
}

// Begin tells of how many commands the round consists, and says whether they are to be
// proposed: not if this machine does not lead any more. If so, Answered has to be called
// for each.
func (r *Reaper) Begin(commands int) bool {
	r.asked = false
	if !r.leading {
		return false
	}
	r.waiting = commands
	return true
}

// Answered tells what has become of a command of the round. Whoever leads at the end of the
// last one asks again for what is left.
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
