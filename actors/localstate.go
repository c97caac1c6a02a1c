package actors

import (
	"sync/atomic"

	"etcd/store"
	"etcd/store/tree"
)

// MaxChildren is how many children of a directory are listed in one answer, if their values
// have maxListed bytes at most. The reader of a larger one gets a view: listing it in the store actor
// would delay all writes, and the whole answer would be in memory at once.
const (
	MaxChildren = 256
	maxListed   = 1 << 20
)

// sharedAfter is how many local reads the store actor answers after a change before it shares
// its state. A view makes the writes after it dearer, so it has to be worth it.
const sharedAfter = 8

// localState is the state of this machine for those who read what is local. While it does not change
// they need not ask the store actor. The store actor takes the view back before it
// applies anything, so that nobody reads less than what was acknowledged to others.
type localState struct {
	maxChildren   int
	maxWeight     int
	view          atomic.Pointer[store.View] // nil: ask the store actor
	found, failed atomic.Uint64              // reads, of the store actor as well
	queries       atomic.Uint64              // of the v3 API, as well
}

// state is a store, or a view of one.
type state interface {
	Index() uint64
	Changed() uint64
	Get(path string) (*tree.Node, *tree.Failure)
	Children(path, after string, limit int) []*tree.Node
	Below(path string, limit int) []*tree.Node
}

// read reads a key of s, of which view returns a view.
func (l *localState) read(s state, m *Read, view func() *store.View) *ReadReply {
	answer := &ReadReply{Index: s.Index(), Changed: s.Changed()}
	answer.Node, answer.Failure = s.Get(m.Path)
	if answer.Failure != nil {
		l.failed.Add(1)
		return answer
	}
	l.found.Add(1)
	if answer.Node.Dir {
		if m.Deep {
			answer.Children = s.Below(m.Path, l.maxChildren+1)
		} else {
			answer.Children = s.Children(m.Path, "", l.maxChildren+1)
		}
		if len(answer.Children) > l.maxChildren || size(answer.Children) > maxListed {
			answer.Children, answer.View = nil, view()
		}
	}
	return answer
}

// size returns how many bytes the values of nodes have.
func size(nodes []*tree.Node) (n int) {
	for _, node := range nodes {
		n += len(node.Value)
	}
	return n
}
