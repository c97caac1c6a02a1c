package httpfront

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/apierror"
	"etcd/store"
)

// A machine that is asked for more than it can do refuses what is too much at once: if it queued that,
// everybody would wait, and it would work for clients who have given up.

// ErrInFlight means that too many requests are in flight.
var ErrInFlight = errors.New("too many requests are in flight (-max-requests-in-flight); nothing was done")

// errWatchers means that there are too many watches.
var errWatchers = errors.New("too many watches (-max-watchers)")

// allowance bounds what is in use at a time.
type allowance struct {
	limit   int64 // 0: none
	used    atomic.Int64
	refused atomic.Uint64
}

// take takes n of it, and reports whether there was that much. beyond is how far it may exceed the limit,
// or, negative, by how much it must stay below.
func (a *allowance) take(n, beyond int64) bool {
	if a.used.Add(n) <= a.limit+beyond || a.limit == 0 {
		return true
	}
	a.used.Add(-n)
	a.refused.Add(1)
	return false
}

// minBudget is what the quota leaves of each budget of memory, in bytes: as much as the largest value.
const minBudget = store.MaxValue

// budget returns how many bytes may be used for what was configured to have so many: half the quota at
// most, so that a machine whose keys may have little does not take much for those who send and read them.
func (s *Server) budget(configured int64) int64 {
	if !s.isAttached() {
		return configured
	}
	quota := s.machine.Applied().Quota
	if quota == 0 {
		return configured
	}
	return min(configured, max(minBudget, int64(quota/2)))
}

func (a *allowance) giveBack(n int64) { a.used.Add(-n) }

// rank says what finds a place beyond the limit of requests in flight, and of what else there may be
// too much without a loss to it: each rank has a share of the limit that those below it cannot take.
type rank int64

const (
	ordinary   rank = iota
	deletes         // make room in the state
	localReads      // wait for no other machine, and so not for a quorum
	probes          // tell an operator how the machine is
)

const (
	shares   = 8 // one of so many of the limit
	minShare = 16
)

// rank returns that of a method of the route.
func (r *Route) rank(method string) rank {
	switch {
	case r.Probe:
		return probes
	case method == http.MethodDelete:
		return deletes
	}
	return ordinary
}

// takePlace counts a request as in flight, and reports whether there was a place for it.
func (s *Server) takePlace(r rank) bool {
	return s.inFlight.take(1, int64(r)*max(minShare, s.inFlight.limit/shares))
}

// enter counts the request that was begun with expect as in flight, and reports whether it may be sent to
// an actor.
func (x *Exchange) enter(to *actor.PID) bool {
	s, r := x.session, x.operation.rank
	if to == x.server.machine.Store {
		r = max(r, localReads)
	}
	if !x.server.takePlace(r) {
		s.expected.Store(0)
		return false
	}
	s.counted.Store(true)
	return true
}

// settle ends the request in flight.
func (s *session) settle() {
	if s.counted.Swap(false) {
		s.server.inFlight.giveBack(1)
	}
}

// await is Start, and returns the answer if the session cannot begin. As long as there is no machine, a
// request that waits for it is in flight.
func (x *Exchange) await() Answer {
	s := x.server
	if !s.isAttached() {
		if !s.takePlace(x.operation.rank) {
			return Unserved(ErrInFlight)
		}
		defer s.inFlight.giveBack(1)
	}
	if !x.Start() {
		return NewError(apierror.LeaderElect, "this machine is still starting: it reads its data, or waits for the cluster that it is to join")
	}
	return nil
}

// takeWatchers returns the answer to a request for n more watches if that is too many.
func (x *Exchange) takeWatchers(n int) Answer {
	if !x.server.watchers.take(int64(n), 0) {
		return x.fail(errWatchers)
	}
	return nil
}

// giveBackWatchers ends the count of the watches of a connection. The caller holds mu.
func (c *conn) giveBackWatchers() {
	if w := c.watch; w != nil {
		c.server.watchers.giveBack(int64(w.watchers))
		w.watchers = 0
	}
}
