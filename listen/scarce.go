package listen

import (
	"errors"
	"slices"
	"time"
)

const (
	// scarcePause is how long a listener waits when the system has no room for one
	// more connection. The kernel keeps those who come meanwhile.
	scarcePause = 50 * time.Millisecond
	// seldomEvery is the least time between two messages about the same thing that
	// clients can bring about as often as they like.
	seldomEvery = time.Minute
)

// seldom bounds the rate of a message. It belongs to one goroutine.
type seldom struct{ last time.Time }

// due says whether the message is to be logged, and counts it as logged then.
func (s *seldom) due() bool {
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < seldomEvery {
		return false
	}
	s.last = now
	return true
}

// isScarce says that a connection was not accepted because the process or the system
// is out of descriptors or memory for it. That passes, and ending the machine for it
// would let anybody end it who can open connections.
func isScarce(err error) bool {
	return slices.ContainsFunc(scarceErrors, func(target error) bool { return errors.Is(err, target) })
}

// waitForRoom waits before the next try. It returns false if the listener was closed.
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
