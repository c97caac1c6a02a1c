package tree

import "strings"

// The traces are of so many paths at most, and these have so many bytes. A path has so many at most.
const (
	maxTraces     = 4096
	maxTraceBytes = 1 << 20
	maxTracePath  = 1 << 10
)

// traces has the indexes of changes that no node shows: of removals, and of updates of directories,
// which keep their modified index. They form a tree, by path. The trace that has had no change for
// longest makes room for a new one, and then counts for all that is below its parent. So an index is
// never too small, and too large only beside what changes a lot.
//
// It is no part of the replicated state: a machine that was restored has others.
type traces struct {
	root  trace // also the ends of the list of all others, where a trace is older than its parent
	at    map[string]*trace
	bytes int
}

// trace has what is known of a path.
type trace struct {
	path   string
	parent *trace
	// self is the index of the last change of the path itself.
	self uint64
	// removed is that of the last removal of a directory at the path, which concerns all below it.
	removed uint64
	// all is that of the last change at the path or below it.
	all uint64
	// forgotten is that of the last change of something below it that has no trace any more.
	forgotten uint64

	newer, older *trace
}

// get returns the trace of a path, nil if it has none.
func (t *traces) get(path string) *trace {
	if path == "/" {
		return &t.root
	}
	return t.at[path]
}

// forgetUpTo says that anything may have changed up to an index.
func (t *traces) forgetUpTo(index uint64) { t.root.all, t.root.forgotten = index, index }

// note notes an event, if it is of a change that no node shows.
func (t *traces) note(e *Event) {
	removal := false
	switch e.Action {
	case ActionDelete, ActionCompareAndDelete, ActionExpire:
		removal = true
	case ActionUpdate:
		if !e.Node.Dir {
			return
		}
	default:
		return
	}
	if t.at == nil {
		t.at = make(map[string]*trace)
		t.root.newer, t.root.older = &t.root, &t.root
	}
	path := e.Node.Path
	for len(path) > maxTracePath {
		path = Parent(path)
	}
	n := t.of(path)
	switch {
	case path != e.Node.Path:
		n.forgotten = e.Index
	case removal && e.Node.Dir:
		n.removed = e.Index
		fallthrough
	default:
		n.self = e.Index
	}
	for ; n != &t.root; n = n.parent {
		n.all = e.Index
		t.makeNewest(n)
	}
	n.all = e.Index
	for len(t.at) > maxTraces || t.bytes > maxTraceBytes {
		t.forgetOldest()
	}
}

// of returns the trace of a path. If it is new, it is in no list yet.
func (t *traces) of(path string) *trace {
	if n := t.get(path); n != nil {
		return n
	}
	n := &trace{path: strings.Clone(path), parent: t.of(Parent(path))} // path shares memory with a value
	t.at[n.path] = n
	t.bytes += len(n.path)
	return n
}

func (t *traces) makeNewest(n *trace) {
	n.unlink()
	newest := t.root.older
	n.newer, n.older = &t.root, newest
	newest.newer, t.root.older = n, n
}

func (n *trace) unlink() {
	if n.newer != nil {
		n.newer.older, n.older.newer = n.older, n.newer
	}
}

// forgetOldest drops the oldest trace, below which there is no other.
func (t *traces) forgetOldest() {
	n := t.root.newer
	n.unlink()
	delete(t.at, n.path)
	t.bytes -= len(n.path)
	n.parent.forgotten = max(n.parent.forgotten, n.all)
}

// above returns the index of the last change above a path that may have changed what was there: the
// removal of a directory, or something forgotten.
func (t *traces) above(path string) (last uint64) {
	for path != "/" {
		path = Parent(path)
		if n := t.get(path); n != nil {
			last = max(last, n.removed, n.forgotten)
		}
	}
	return last
}
