package listen

import (
	"errors"
	"slices"
	"time"
)

const (
	// scarcePause is how long a listener backs off when the system has no room for one
	// more connection. The kernel queues new ones meanwhile.
	scarcePause = 50 * time.Millisecond
	// seldomEvery is the least time between two messages about the same condition that
	// clients can provoke as often as they like.
	seldomEvery = time.Minute
)

// seldom rate limits a message. It belongs to one goroutine.
type seldom struct{ last time.Time }

// due reports whether the message is to be logged, and if so counts it as logged.
func (s *seldom) due() bool {
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < seldomEvery {
		return false
	}
	s.last = now
	return true
}

// isScarce reports whether a connection was not accepted because the process or the system
// is out of descriptors or memory. That passes, and stopping the machine for it would let
// anybody stop it who can open connections.
func isScarce(err error) bool {
	return slices.ContainsFunc(scarceErrors, func(target error) bool { return errors.Is(err, target) })
}

// waitForRoom backs off before the next retry. It returns false if the listener was closed.
func (l *listener) waitForRoom(err error) bool {
	if l.scarce.due() {
		l.port.log.Error("cannot accept connections for now; who comes meanwhile waits: "+
			"raise the limit of open files (ulimit -n), or look for who opens so many", "address", l.Addr().String(), "error", err)
	}
	select {
	case <-time.After(scarcePause):
		return true
	case <-l.closed:
		return false
	}
}
