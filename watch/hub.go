package watch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"etcd/store"
)

// Watcher says what one watcher waits for.
type Watcher struct {
	// ID tells watchers apart; whoever adds one chooses it, and never twice.
	ID uint64
	// Path is clean: "/a/b", or "/" for everything.
	Path string
	// Since is the index of the first event that is wanted; 0 means only events
	// that are still to come.
	Since uint64
	// Recursive also wants events below Path.
	Recursive bool
	// Hidden also wants events of keys that are hidden from Path: those with a
	// component below it that starts with "_".
	Hidden bool
	// Stream keeps the watcher after its first event.
	Stream bool
	// Token goes with every delivery.
	Token any

	at int // its place among those that watch Path
}

// Delivery is an event for one watcher. Last says that the watcher is gone.
type Delivery struct {
	Watcher *Watcher
	Event   *store.Event
	Last    bool
}

// ClearedError says that events from the index that was asked for on may have
// been dropped from the history.
type ClearedError struct {
	// Oldest is the index of the oldest event that is still there, or the next one
	// if there is none.
	Oldest uint64
	// Requested is the index that was asked for.
	Requested uint64
}

func (e *ClearedError) Error() string {
	return fmt.Sprintf("the requested history has been cleared [%d/%d]", e.Oldest, e.Requested)
}

// Hub holds the watchers. It is not safe for concurrent use.
type Hub struct {
	history store.History
	byID    map[uint64]*Watcher
	byPath  map[string][]*Watcher
}

// NewHub returns a hub without watchers whose past is history.
func NewHub(history store.History) *Hub {
	return &Hub{
		history: history,
		byID:    make(map[uint64]*Watcher),
		byPath:  make(map[string][]*Watcher),
	}
}

// Len returns how many watchers there are.
func (h *Hub) Len() int { return len(h.byID) }

// Add looks w's start up in the history and appends to out what it has missed. If
// that does not satisfy it, the watcher stays. The error is a *ClearedError.
func (h *Hub) Add(w *Watcher, out []Delivery) ([]Delivery, error) {
	if w.Since > 0 {
		if cleared := h.history.Cleared(); w.Since <= cleared {
			oldest := cleared + 1
			if h.history.Len() > 0 {
				oldest = h.history.First()
			}
			return out, &ClearedError{Oldest: oldest, Requested: w.Since}
		}
		for e := range h.history.From(w.Since) {
			if !w.wants(e) {
				continue
			}
			out = append(out, Delivery{Watcher: w, Event: e, Last: !w.Stream})
			if !w.Stream {
				return out, nil
			}
		}
	}
	h.byID[w.ID] = w
	w.at = len(h.byPath[w.Path])
	h.byPath[w.Path] = append(h.byPath[w.Path], w)
	return out, nil
}

// Remove forgets a watcher. It is no error if there is none with that ID: its
// event may have been on the way.
func (h *Hub) Remove(id uint64) {
	w, ok := h.byID[id]
	if !ok {
		return
	}
	delete(h.byID, id)
	list := h.byPath[w.Path]
	last := len(list) - 1
	list[w.at] = list[last]
	list[w.at].at = w.at
	list[last] = nil
	list = list[:last]
	if len(list) == 0 {
		delete(h.byPath, w.Path)
		return
	}
	h.byPath[w.Path] = list
}

// Clear removes every watcher and returns them, by ID.
func (h *Hub) Clear() []*Watcher {
	all := h.sorted()
	clear(h.byID)
	clear(h.byPath)
	return all
}

// sorted returns all watchers by ID: whoever is told something is told in an order that
// does not differ from run to run.
func (h *Hub) sorted() []*Watcher {
	return slices.SortedFunc(maps.Values(h.byID), func(a, b *Watcher) int { return cmp.Compare(a.ID, b.ID) })
}

// Publish appends to out the deliveries of new events. history is the one that
// has them as its newest.
func (h *Hub) Publish(events []*store.Event, history store.History, out []Delivery) []Delivery {
	h.history = history
	if len(h.byID) == 0 {
		return out
	}
	for _, e := range events {
		out = h.deliver(e, out)
	}
	return out
}

// Replace makes another history the past, because the state was replaced by that of
// a snapshot. It appends to out what watchers have missed. Those who may have missed
// something that the new history no longer has are removed and returned. Both are in
// the order of watcher IDs.
func (h *Hub) Replace(history store.History, out []Delivery) (deliveries []Delivery, lost []*Watcher) {
	next := max(h.history.Last(), h.history.Cleared()) + 1
	h.history = history
	for _, w := range h.sorted() {
		from := max(w.Since, next)
		if from <= history.Cleared() {
			lost = append(lost, w)
			continue
		}
		for e := range history.From(from) {
			if w.wants(e) {
				out = append(out, Delivery{Watcher: w, Event: e, Last: !w.Stream})
				if !w.Stream {
					break
				}
			}
		}
	}
	for _, d := range out {
		if d.Last {
			h.Remove(d.Watcher.ID)
		}
	}
	for _, w := range lost {
		h.Remove(w.ID)
	}
	return out, lost
}

func (h *Hub) deliver(e *store.Event, out []Delivery) []Delivery {
	first := len(out)
	for path := e.Node.Path; ; path = parent(path) {
		for _, w := range h.byPath[path] {
			if w.Since <= e.Index && w.wants(e) {
				out = append(out, Delivery{Watcher: w, Event: e, Last: !w.Stream})
			}
		}
		if path == "/" {
			break
		}
	}
	if removesSubtree(e) {
		var gone []string
		for path := range h.byPath {
			if below(e.Node.Path, path) {
				gone = append(gone, path)
			}
		}
		slices.Sort(gone)
		for _, path := range gone {
			for _, w := range h.byPath[path] {
				if w.Since <= e.Index {
					out = append(out, Delivery{Watcher: w, Event: e, Last: !w.Stream})
				}
			}
		}
	}
	for _, d := range out[first:] {
		if d.Last {
			h.Remove(d.Watcher.ID)
		}
	}
	return out
}

// wants says whether e is for w, not looking at its index.
func (w *Watcher) wants(e *store.Event) bool {
	path := e.Node.Path
	switch {
	case path == w.Path:
		return true
	case below(w.Path, path):
		return w.Recursive && (w.Hidden || !hidden(path[len(w.Path):]))
	case below(path, w.Path):
		return removesSubtree(e)
	}
	return false
}

// removesSubtree says whether e took a directory away, and with it whatever the
// watchers below it were waiting for.
func removesSubtree(e *store.Event) bool {
	switch e.Action {
	case store.ActionDelete, store.ActionExpire:
		return e.Prev != nil && e.Prev.Dir
	}
	return false
}

// below says whether path is strictly below dir.
func below(dir, path string) bool {
	if dir == "/" {
		return path != "/"
	}
	return len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

// hidden says whether rest, the part of a path below the watched one, has a hidden
// component.
func hidden(rest string) bool {
	return strings.HasPrefix(rest, "_") || strings.Contains(rest, "/_")
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}
