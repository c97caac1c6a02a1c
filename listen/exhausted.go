package listen

import (
	"errors"
	"slices"
	"time"
)

const (
	// acceptBackoff is how long a listener backs off when the system has no room for one
	// more connection. The kernel queues new ones meanwhile.
	acceptBackoff = 50 * time.Millisecond
	// logInterval is the least time between two messages about the same condition that
	// clients can provoke as often as they like.
	logInterval = time.Minute
)

// logLimiter rate limits a message. It belongs to one goroutine.
type logLimiter struct{ last time.Time }

// allow reports whether the message is to be logged, and if so counts it as logged.
func (s *logLimiter) allow() bool {
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < logInterval {
		return false
	}
	s.last = now
	return true
}

// isExhausted reports whether a connection was not accepted because the process or the system
// is out of descriptors or memory. That passes, and stopping the machine for it would let
// anybody stop it who can open connections.
func isExhausted(err error) bool {
	return slices.ContainsFunc(exhaustedErrors, func(target error) bool { return errors.Is(err, target) })
}

// backOff backs off before the next retry. It returns false if the listener was closed.
func (l *listener) backOff(err error) bool {
	if l.exhaustedLog.allow() {
		l.port.log.Error("cannot accept connections: out of file descriptors or memory; new ones wait in the kernel's queue: "+
			"raise the limit of open files (ulimit -n), or look for who opens so many", "address", l.Addr().String(), "error", err)
	}
	select {
	case <-time.After(acceptBackoff):
		return true
	case <-l.closed:
		return false
	}
}
