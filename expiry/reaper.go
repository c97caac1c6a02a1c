package expiry

import (
	"time"

	"etcd/store"
)

// retry is how long the commands of one round get to be applied before the store
// is asked again. Asking too early is harmless: an Expire command applies only to
// the very deadline it was made for.
const retry = time.Second

// Reaper decides when to collect expired keys. The zero value does not lead and
// knows of no deadline.
type Reaper struct {
	leading bool
	next    store.Time // earliest deadline in the store; 0: none
	asked   store.Time // when the store was last asked about that deadline; 0: not yet
}

// Lead tells whether this machine leads the cluster.
func (r *Reaper) Lead(leading bool) {
	r.leading = leading
	r.asked = 0
}

// Next tells the earliest deadline in the store, 0 if there is none.
func (r *Reaper) Next(deadline store.Time) {
	r.next = deadline
	r.asked = 0
}

// Again says that the commands of the last round are done with, so that the store can
// be asked for the next one.
func (r *Reaper) Again() { r.asked = 0 }

// Wake returns when Due is worth calling, 0 for never.
func (r *Reaper) Wake() store.Time {
	switch {
	case !r.leading || r.next == 0:
		return 0
	case r.asked != 0:
		return r.asked.Add(retry)
	}
	return r.next
}

// Due says whether the store is to be asked now for what has expired, and notes
// that it is.
func (r *Reaper) Due(now store.Time) bool {
	wake := r.Wake()
	if wake == 0 || now < wake {
		return false
	}
	r.asked = now
	return true
}
