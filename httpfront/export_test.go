package httpfront

import (
	"time"

	"etcd/listen"
)

// The internals of the engine that its tests look at. They are in a package of their own, to
// run it with the routes of the APIs.

const (
	MaxReadAhead = maxReadAhead
	MaxWaking    = maxWaking
	MaxURI       = maxURI
	MaxHeader    = maxHeader
	FirstBody    = firstBody
	MaxStalled   = maxStalled
)

// UsePoller makes servers use another poller until undo is called.
func UsePoller(p listen.Poller) (undo func()) {
	before := newPoller
	newPoller = func() (listen.Poller, error) { return p, nil }
	return func() { newPoller = before }
}

// Open returns how many connections are open.
func (s *Server) Open() int64 { return s.port.Open() }

// Refused returns how many connections were refused because there were too many.
func (s *Server) Refused() int64 { return s.port.Refused() }

// BodyBytes returns the bytes that are counted for the bodies of requests in flight.
func (s *Server) BodyBytes() int64 { return s.bodies.used.Load() }

// InFlight returns how many requests wait for the machine.
func (s *Server) InFlight() int64 { return s.inFlight.used.Load() }

// Watchers returns how many watches count against their limit.
func (s *Server) Watchers() int64 { return s.watchers.used.Load() }

// Requests returns how many requests were made to the machine.
func (s *Server) Requests() uint64 { return s.lastID.Load() }

// UseStreamTimes makes servers use other times for streams until undo is called.
func UseStreamTimes(heartbeatEvery, deadAfter time.Duration) (undo func()) {
	before := streamTimes
	streamTimes.heartbeatEvery, streamTimes.deadAfter = heartbeatEvery, deadAfter
	return func() { streamTimes = before }
}
