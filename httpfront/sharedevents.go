package httpfront

import (
	"bytes"
	"time"

	"etcd/store/tree"
)

// sharedEvents is how many events are kept as they were rendered for a stream, for others that get
// them in the same moment.
const sharedEvents = 64

// sharedEvent is an event as it was rendered in a format.
type sharedEvent struct {
	event  *tree.Event
	format StreamFormat
	at     time.Time
	data   []byte
}

func (r *sharedEvent) is(format StreamFormat, e *tree.Event, now time.Time) bool {
	return r != nil && r.event == e && r.format == format && now.Sub(r.at) < renderedFor
}

// isHuge reports whether an event has values that are not rendered as a whole: each client that does not
// read would have a copy.
func isHuge(e *tree.Event) bool { return sizeOf(e) > maxLight }

// sizeOf returns how many bytes the values of an event have.
func sizeOf(e *tree.Event) int {
	size := len(e.Node.Value)
	if e.Prev != nil {
		size += len(e.Prev.Value)
	}
	return size
}

// appendEvent renders an event, or takes one that was just rendered for another stream. It leaves gaps in
// one that is huge.
func (s *Server) appendEvent(to []byte, gaps *Gaps, format StreamFormat, e *tree.Event, now time.Time) []byte {
	if isHuge(e) {
		return format.AppendEvent(to, gaps, s.machine, e)
	}
	slot := &s.shared[e.Index%sharedEvents]
	if last := slot.Load(); last.is(format, e, now) {
		return append(to, last.data...)
	}
	begin := len(to)
	to = format.AppendEvent(to, nil, s.machine, e)
	slot.Store(&sharedEvent{event: e, format: format, at: now, data: bytes.Clone(to[begin:])})
	return to
}

// dropShared drops what was rendered for streams that have ended.
func (s *Server) dropShared() {
	for i := range s.shared {
		s.shared[i].Store(nil)
	}
}
