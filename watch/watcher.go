package watch

import (
	"fmt"
	"strings"

	"etcd/store/tree"
)

// Watcher says what one watch of a subscriber waits for.
type Watcher struct {
	// ID tells the watches of one subscriber apart; whoever adds one chooses it.
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
	// Stream keeps the watch after its first event.
	Stream bool
}

// Delivery is what one watch gets: an event, or the error that ends it. Last says that
// the watch is gone.
type Delivery struct {
	Watch uint64
	Event *tree.Event
	Err   error
	Last  bool

	w *watcher
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

// cleared is the error of who still needs the events from requested on; nil if history
// has them all.
func cleared(history tree.History, requested uint64) error {
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

// wants says whether e is for w, not looking at its index.
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

// removesSubtree says whether e took a directory away, and with it whatever the
// watchers below it were waiting for.
func removesSubtree(e *tree.Event) bool {
	switch e.Action {
	case tree.ActionDelete, tree.ActionExpire:
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
