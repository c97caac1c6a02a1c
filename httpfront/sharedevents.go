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

// isLarge reports whether an event is too large to be kept beside others.
func isLarge(e *tree.Event) bool {
	size := len(e.Node.Value)
	if e.Prev != nil {
		size += len(e.Prev.Value)
	}
	return size > maxLight
}

// appendEvent renders an event, or takes one that was just rendered for another stream.
func (s *Server) appendEvent(to []byte, format StreamFormat, e *tree.Event, now time.Time) []byte {
	slot := &s.shared[e.Index%sharedEvents]
	if last := slot.Load(); last.is(format, e, now) {
		return append(to, last.data...)
	}
	begin := len(to)
	to = format.AppendEvent(to, s.machine, e)
	if !isLarge(e) {
		slot.Store(&sharedEvent{event: e, format: format, at: now, data: bytes.Clone(to[begin:])})
	}
	return to
}

// largeChunk returns a chunk of one event, which must not be changed.
func (s *Server) largeChunk(format StreamFormat, e *tree.Event, now time.Time) []byte {
	if last := s.large.Load(); last.is(format, e, now) {
		return last.data
	}
	data := format.AppendEvent(make([]byte, sizeRoom), s.machine, e)
	head := chunkHead(len(data) - sizeRoom)
	begin := sizeRoom - len(head)
	copy(data[begin:], head)
	data = append(data, "\r\n"...)[begin:]
	s.large.Store(&sharedEvent{event: e, format: format, at: now, data: data})
	return data
}

// dropShared drops what was rendered for streams that have ended.
func (s *Server) dropShared() {
	for i := range s.shared {
		s.shared[i].Store(nil)
	}
	s.large.Store(nil)
}
