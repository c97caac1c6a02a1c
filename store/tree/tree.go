package tree

import (
	"strings"

	"etcd/store/logtime"
)

// rootNode is the root of every tree. It is not kept in them.
var rootNode = &Node{Path: "/", Dir: true}

// Tree is the nodes and the history of their changes. It must be used by one goroutine at a
// time.
//
// The byte order of paths keeps everything below a directory together, but
// not right behind it: "/a-b" lies between "/a" and "/a/x".
type Tree struct {
	nodes   btree
	history recorder
	traces  traces
	quota   uint64 // 0: there is none

	reserved uint64 // bytes of the quota that something else has
}

// New returns an empty tree with DefaultHistoryLimit.
func New() *Tree { return &Tree{history: recorder{limit: DefaultHistoryLimit}} }

// Get returns the node at a clean path. It fails with KeyNotFound or NotDir.
func (t *Tree) Get(path string) (*Node, *Failure) { return t.nodes.lookUp(path) }

// NextDeadline returns the earliest deadline, 0 if nothing expires.
func (t *Tree) NextDeadline() logtime.Time { return t.nodes.earliest() }

// Due returns the nodes whose deadline is not after now, at most limit of them, in
// the order of their deadlines.
func (t *Tree) Due(now logtime.Time, limit int) []*Node { return t.nodes.due(now, limit) }

// History returns the events kept for watchers, as they are now, in constant
// time.
func (t *Tree) History() History { return t.history.History }

// HistoryLimit returns the number of events the history may hold.
func (t *Tree) HistoryLimit() int { return t.history.limit }

// SetHistoryLimit changes the number of events kept and drops those over it.
func (t *Tree) SetHistoryLimit(limit int) {
	t.history.limit = limit
	t.history.trim()
}

// find returns the node at path, nil if there is none.
func (t *Tree) find(path string) *Node { return t.nodes.find(path) }

// above returns the deepest node that exists on the way to path, which does
// not itself exist.
func (t *Tree) above(path string) *Node { return t.nodes.above(path) }

// missing explains why there is nothing at path.
func (t *Tree) missing(path string) *Failure { return t.nodes.missing(path) }

// lookUp returns the node at path, or explains why there is nothing.
func (b *btree) lookUp(path string) (*Node, *Failure) {
	if node := b.find(path); node != nil {
		return node, nil
	}
	return nil, b.missing(path)
}

func (b *btree) find(path string) *Node {
	if path == "/" {
		return rootNode
	}
	return b.get(path)
}

func (b *btree) above(path string) *Node {
	if node := b.find(Parent(path)); node != nil {
		return node
	}
	// What is deeper than path has in common with the node before it would lie between the two.
	shared := 0
	if before := b.before(path); before != nil {
		shared = SharedPrefix(before.Path, path)
	}
	path = path[:shared+1]
	for {
		path = Parent(path)
		if node := b.find(path); node != nil {
			return node
		}
	}
}

func (b *btree) missing(path string) *Failure {
	above := b.above(path)
	if !above.Dir {
		return &Failure{Code: NotDir, Path: above.Path, Node: above}
	}
	return &Failure{Code: KeyNotFound, Path: child(above.Path, path)}
}

// unlink removes node and everything below it from the tree.
func (t *Tree) unlink(node *Node) {
	if node.Dir {
		t.nodes.cut(below(node.Path))
	}
	t.nodes.remove(node.Path)
}

// below returns the first path that may be in a directory, and the first one after all that
// may: '0' follows '/'.
func below(dir string) (from, to string) {
	if dir == "/" {
		return "/", "0"
	}
	return dir + "/", dir + "0"
}

// empty reports whether the directory has no children.
func (t *Tree) empty(dir *Node) bool {
	from, to := below(dir.Path)
	for node := range t.nodes.from(from) {
		return node.Path >= to
	}
	return true
}

// Below returns the nodes below the directory at a clean path, at whatever depth: the first limit of
// them in the byte order of their paths, hidden ones included.
func (t *Tree) Below(path string, limit int) []*Node { return t.nodes.allBelow(path, limit) }

func (b *btree) allBelow(dir string, limit int) []*Node {
	var nodes []*Node
	first, end := below(dir)
	for node := range b.from(first) {
		if node.Path >= end || len(nodes) == limit {
			break
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// Children returns the nodes directly in the directory at a clean path that come after the one
// at another path, "" for the first ones: at most limit of them, hidden ones included, sorted by
// name. There are none in a file or where nothing is.
func (t *Tree) Children(path, after string, limit int) []*Node {
	return t.nodes.children(path, after, limit)
}

// children returns the nodes directly in dir whose path is after another one, at most
// limit of them, in the order of their paths.
func (b *btree) children(dir, after string, limit int) []*Node {
	next, end := below(dir)
	prefix := len(next)
	if after != "" {
		next = after + "\x00" // the first path after it
	}
	var nodes []*Node
	for next != "" && len(nodes) < limit {
		from := next
		next = ""
		for node := range b.from(from) {
			if node.Path >= end || len(nodes) == limit {
				break
			}
			if slash := strings.IndexByte(node.Path[prefix:], '/'); slash >= 0 {
				// This is the first node below a child that is listed already.
				_, next = below(node.Path[:prefix+slash])
				break
			}
			nodes = append(nodes, node)
		}
	}
	return nodes
}
