package tree

import (
	"math"
	"strings"

	"github.com/tidwall/btree"

	"etcd/store/logtime"
)

// rootNode is the root of every tree. It is not kept in them.
var rootNode = &Node{Path: "/", Dir: true}

// Tree is the nodes by path and, of those that expire, by deadline, and the
// history of what became of them. It must be used by one goroutine at a time.
//
// The byte order of paths keeps everything below a directory together, but
// not right behind it: "/a-b" lies between "/a" and "/a/x".
type Tree struct {
	nodes  *btree.BTreeG[*Node]
	expiry *btree.BTreeG[*Node]
	pivot  Node // where a search starts; never stored, saves allocating one
	// hint remembers where the last search ended: a command looks a key up and then
	// writes it.
	hint    btree.PathHint
	history recorder
}

// New returns an empty tree with DefaultHistoryLimit.
func New() *Tree {
	return &Tree{
		nodes:   btree.NewBTreeGOptions(byPath, btree.Options{NoLocks: true}),
		expiry:  btree.NewBTreeGOptions(byDeadline, btree.Options{NoLocks: true}),
		history: recorder{limit: DefaultHistoryLimit},
	}
}

// Get returns the node at a clean path. It fails with KeyNotFound or NotDir.
func (t *Tree) Get(path string) (*Node, *Failure) {
	if node := t.find(path); node != nil {
		return node, nil
	}
	return nil, t.missing(path)
}

// NextDeadline returns the earliest deadline, 0 if nothing expires.
func (t *Tree) NextDeadline() logtime.Time {
	node, ok := t.expiry.Min()
	if !ok {
		return 0
	}
	return node.Deadline
}

// Due returns the nodes whose deadline is not after now, at most limit of them, in
// the order of their deadlines.
func (t *Tree) Due(now logtime.Time, limit int) []*Node {
	var due []*Node
	t.expiry.Scan(func(node *Node) bool {
		if node.Deadline > now || len(due) >= limit {
			return false
		}
		due = append(due, node)
		return true
	})
	return due
}

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

func byPath(a, b *Node) bool { return a.Path < b.Path }

func byDeadline(a, b *Node) bool {
	if a.Deadline != b.Deadline {
		return a.Deadline < b.Deadline
	}
	return a.Path < b.Path
}

// find returns the node at path, nil if there is none.
func (t *Tree) find(path string) *Node {
	if path == "/" {
		return rootNode
	}
	node, _ := t.nodes.GetHint(t.at(path), &t.hint)
	return node
}

// at returns a node to search with. It is valid until the next call.
func (t *Tree) at(path string) *Node {
	t.pivot.Path = path
	return &t.pivot
}

// above returns the deepest node that exists on the way to path, which does
// not itself exist.
func (t *Tree) above(path string) *Node {
	for {
		path = parent(path)
		if node := t.find(path); node != nil {
			return node
		}
	}
}

// missing explains why there is nothing at path.
func (t *Tree) missing(path string) *Failure {
	above := t.above(path)
	if !above.Dir {
		return &Failure{Code: NotDir, Path: above.Path, Node: above}
	}
	return &Failure{Code: KeyNotFound, Path: child(above.Path, path)}
}

// put stores node in place of old, which is nil if there was none.
func (t *Tree) put(node, old *Node) {
	t.nodes.SetHint(node, &t.hint)
	if old != nil && old.Deadline != 0 {
		t.expiry.Delete(old)
	}
	if node.Deadline != 0 {
		t.expiry.Set(node)
	}
}

// unlink takes node and everything below it out of the tree.
func (t *Tree) unlink(node *Node) {
	if node.Dir {
		var below []*Node
		prefix := node.Path + "/"
		t.nodes.Ascend(t.at(prefix), func(n *Node) bool {
			if !strings.HasPrefix(n.Path, prefix) {
				return false
			}
			below = append(below, n)
			return true
		})
		for _, n := range below {
			t.unlinkOne(n)
		}
	}
	t.unlinkOne(node)
}

func (t *Tree) unlinkOne(node *Node) {
	t.nodes.Delete(node)
	if node.Deadline != 0 {
		t.expiry.Delete(node)
	}
}

// empty says whether the directory has no children.
func (t *Tree) empty(dir *Node) bool {
	prefix := dir.Path + "/"
	empty := true
	t.nodes.Ascend(t.at(prefix), func(n *Node) bool {
		empty = !strings.HasPrefix(n.Path, prefix)
		return false
	})
	return empty
}

// Children returns the nodes directly in the directory at a clean path, hidden
// ones included, sorted by name. There are none in a file or where nothing is.
func (t *Tree) Children(path string) []*Node { return children(t.nodes, path, "", math.MaxInt) }

// FirstChildren is Children, but for those after the first limit.
func (t *Tree) FirstChildren(path string, limit int) []*Node {
	return children(t.nodes, path, "", limit)
}

// children returns the nodes directly in dir whose path is after another one, at most
// limit of them, in the order of their paths.
func children(all *btree.BTreeG[*Node], dir, after string, limit int) []*Node {
	prefix := dir
	if dir != "/" {
		prefix += "/"
	}
	pivot := &Node{Path: prefix}
	if after != "" {
		pivot.Path = after + "\x00" // the first path behind it
	}
	var nodes []*Node
	cursor := all.Iter()
	defer cursor.Release()
	for ok := cursor.Seek(pivot); ok && len(nodes) < limit; {
		node := cursor.Item()
		if !strings.HasPrefix(node.Path, prefix) {
			break
		}
		below := strings.IndexByte(node.Path[len(prefix):], '/')
		if below < 0 {
			nodes = append(nodes, node)
			ok = cursor.Next()
			continue
		}
		// This is the first node below a child that is listed already. '0'
		// follows '/', so here ends what is below it.
		pivot.Path = node.Path[:len(prefix)+below] + "0"
		ok = cursor.Seek(pivot)
	}
	return nodes
}
