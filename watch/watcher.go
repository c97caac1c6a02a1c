package watch

import (
	"fmt"
	"strings"

	"etcd/store/tree"
)

// Watcher describes one watch of a subscriber: the events that it wants.
type Watcher struct {
	// ID tells the watches of one subscriber apart; the caller of Add chooses it.
	ID uint64
	// Path is clean: "/a/b", or "/" for everything.
	Path string
	// Since is the index of the first event that is wanted; 0 means only events that are
	// published after the watch was added.
	Since uint64
	// Recursive also wants events below Path.
	Recursive bool
	// Hidden also wants events of keys that are hidden from Path: those with a
	// component below it that starts with "_".
	Hidden bool
	// Stream keeps the watch after its first event.
	Stream bool
	// NeedsLeader ends the watch while there is no leader, see [Hub.Leaderless].
	NeedsLeader bool
}

// Delivery is what one watch gets: an event, or the error that ends it. Last means that the
// watch has ended.
type Delivery struct {
	Watch uint64
	Event *tree.Event
	Err   error
	Last  bool

	w *watcher
}

// ClearedError means that events from the requested index on may have been dropped from
// the history.
type ClearedError struct {
	// Oldest is the index of the oldest event that the history has, or of the next event if
	// it has none.
	Oldest uint64
	// Requested is the index from which on events were wanted.
	Requested uint64
}

func (e *ClearedError) Error() string {
	return fmt.Sprintf("the requested history has been cleared [%d/%d]", e.Oldest, e.Requested)
}

// clearedError returns the error of a watch that needs the events from requested on; nil if
// history has them all.
func clearedError(history tree.History, requested uint64) error {
	newest := history.Cleared()
	if requested > newest {
		return nil
	}
	oldest := newest + 1
	if history.Len() > 0 {
		oldest = history.First()
	}
	return &ClearedError{Oldest: oldest, Requested: requested}
}

// wants reports whether e is for w, whatever its index.
func (w *Watcher) wants(e *tree.Event) bool {
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

// removesSubtree reports whether e removed a directory, and with it all keys below it, for
// which there may be watchers.
func removesSubtree(e *tree.Event) bool {
	switch e.Action {
	case tree.ActionDelete, tree.ActionExpire:
		return e.Prev != nil && e.Prev.Dir
	}
	return false
}

// below reports whether path is strictly below dir.
func below(dir, path string) bool {
	if dir == "/" {
		return path != "/"
	}
	return len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

// hidden reports whether rest, the part of a path below the watched one, has a hidden
// component.
func hidden(rest string) bool {
	return strings.HasPrefix(rest, "_") || strings.Contains(rest, "/_")
}
