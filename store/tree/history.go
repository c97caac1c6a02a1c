package tree

import (
	"iter"
	"slices"
	"sort"
)

const (
	// DefaultHistoryLimit is the number of events a tree keeps until a
	// command says otherwise.
	DefaultHistoryLimit = 100_000

	// MaxHistoryBytes bounds the paths and values in the history. An event
	// counts its path, its value and its previous value, although they may be
	// shared with the tree and with other events.
	MaxHistoryBytes = 64 << 20
)

// A chunk ends when it has this many events or this many bytes. Memory is
// given back by the chunk, so the second bound keeps dropped events with large
// values from staying.
const (
	chunkEvents = 256
	chunkBytes  = 1 << 20
)

// History is the events kept for watchers, as they were at one moment. Views
// share their memory with the tree but never see what it appends later. The
// zero value is an empty history.
type History struct {
	sealed  [][]*Event // full chunks, none empty
	tail    []*Event   // the chunk being filled
	skip    int        // events dropped from the front of the first chunk
	count   int
	cleared uint64
}

// Len returns the number of events.
func (h History) Len() int { return h.count }

// First returns the index of the oldest event, 0 if there is none.
func (h History) First() uint64 {
	if h.count == 0 {
		return 0
	}
	return h.oldest().Index
}

// Last returns the index of the newest event, 0 if there is none.
func (h History) Last() uint64 {
	if h.count == 0 {
		return 0
	}
	if len(h.tail) > 0 {
		return h.tail[len(h.tail)-1].Index
	}
	chunk := h.sealed[len(h.sealed)-1]
	return chunk[len(chunk)-1].Index
}

// Cleared returns the index of the newest event that was dropped, 0 if none
// was. A watch from an index above it misses nothing.
func (h History) Cleared() uint64 { return h.cleared }

// From returns the events with an index of at least index, in order.
func (h History) From(index uint64) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		if h.count == 0 {
			return
		}
		at := sort.Search(len(h.sealed), func(i int) bool {
			chunk := h.sealed[i]
			return chunk[len(chunk)-1].Index >= index
		})
		for ; at <= len(h.sealed); at++ {
			chunk := h.chunk(at)
			start := sort.Search(len(chunk), func(i int) bool { return chunk[i].Index >= index })
			for i := start; i < len(chunk); i++ {
				if !yield(chunk[i]) {
					return
				}
			}
		}
	}
}

// at returns the event with an index, nil if there is none.
func (h History) at(index uint64) *Event {
	for e := range h.From(index) {
		if e.Index == index {
			return e
		}
		break
	}
	return nil
}

// chunk returns what is left of chunk i; the tail comes after the sealed ones.
func (h *History) chunk(i int) []*Event {
	chunk := h.tail
	if i < len(h.sealed) {
		chunk = h.sealed[i]
	}
	if i == 0 {
		chunk = chunk[h.skip:]
	}
	return chunk
}

func (h *History) oldest() *Event { return h.chunk(0)[0] }

// recorder is the history as the tree writes it. It only ever appends after
// the end of the views it handed out, or replaces old slices by new ones.
type recorder struct {
	History
	limit     int
	bytes     int // of the events held
	tailBytes int // of the tail, dropped events included
}

// record appends e, drops what is over the limits, and returns a pointer to
// the event where it will stay.
func (r *recorder) record(e Event) *Event {
	size := e.size()
	if r.limit == 0 || size > MaxHistoryBytes {
		r.clear()
		r.cleared = e.Index
		return &e
	}
	if r.tail == nil {
		r.tail = make([]*Event, 0, chunkEvents)
	}
	// By itself, so that who holds an event, such as a slow watcher, does not keep those around it in memory.
	recorded := &e
	r.tail = append(r.tail, recorded)
	r.count++
	r.bytes += size
	r.tailBytes += size
	if len(r.tail) == chunkEvents || r.tailBytes >= chunkBytes {
		r.sealed = append(r.sealed, r.tail)
		r.tail, r.tailBytes = nil, 0
	}
	r.trim()
	return recorded
}

func (r *recorder) trim() {
	chunks := len(r.sealed)
	for r.count > r.limit || r.bytes > MaxHistoryBytes {
		oldest := r.oldest()
		r.cleared = oldest.Index
		r.bytes -= oldest.size()
		r.count--
		r.skip++
		if len(r.sealed) > 0 && r.skip == len(r.sealed[0]) {
			r.sealed = r.sealed[1:]
			r.skip = 0
		}
	}
	switch {
	case r.count == 0:
		r.clear()
	case len(r.sealed) < chunks:
		// The old array still points to the chunks dropped.
		r.sealed = slices.Clone(r.sealed)
	}
}

// clear forgets all events, but not which was the newest dropped.
func (r *recorder) clear() {
	r.History = History{cleared: r.cleared}
	r.bytes, r.tailBytes = 0, 0
}

// size is what the event counts against MaxHistoryBytes.
func (e *Event) size() int {
	size := len(e.Node.Path) + len(e.Node.Value)
	if e.Prev != nil {
		size += len(e.Prev.Value)
	}
	return size
}
