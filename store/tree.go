package store

import (
	"strings"

	"github.com/tidwall/btree"
)

// rootNode is the root of every tree. It is not kept in them.
var rootNode = &Node{Path: "/", Dir: true}

// tree is the nodes by path and, of those that expire, by deadline.
//
// The byte order of paths keeps everything below a directory together, but
// not right behind it: "/a-b" lies between "/a" and "/a/x".
type tree struct {
	nodes  *btree.BTreeG[*Node]
	expiry *btree.BTreeG[*Node]
	pivot  Node // where a search starts; never stored, saves allocating one
	// hint remembers where the last search ended: a command looks a key up and then
	// writes it.
	hint btree.PathHint
}

func newTree() tree {
	return tree{
		nodes:  btree.NewBTreeGOptions(byPath, btree.Options{NoLocks: true}),
		expiry: btree.NewBTreeGOptions(byDeadline, btree.Options{NoLocks: true}),
	}
}

func byPath(a, b *Node) bool { return a.Path < b.Path }

func byDeadline(a, b *Node) bool {
	if a.Deadline != b.Deadline {
		return a.Deadline < b.Deadline
	}
	return a.Path < b.Path
}

// find returns the node at path, nil if there is none.
func (t *tree) find(path string) *Node {
	if path == "/" {
		return rootNode
	}
	node, _ := t.nodes.GetHint(t.at(path), &t.hint)
	return node
}

// at returns a node to search with. It is valid until the next call.
func (t *tree) at(path string) *Node {
	t.pivot.Path = path
	return &t.pivot
}

// above returns the deepest node that exists on the way to path, which does
// not itself exist.
func (t *tree) above(path string) *Node {
	for {
		path = parent(path)
		if node := t.find(path); node != nil {
			return node
		}
	}
}

// missing explains why there is nothing at path.
func (t *tree) missing(path string) *Failure {
	above := t.above(path)
	if !above.Dir {
		return &Failure{Code: NotDir, Path: above.Path, Node: above}
	}
	return &Failure{Code: KeyNotFound, Path: child(above.Path, path)}
}

// put stores node in place of old, which is nil if there was none.
func (t *tree) put(node, old *Node) {
	t.nodes.SetHint(node, &t.hint)
	if old != nil && old.Deadline != 0 {
		t.expiry.Delete(old)
	}
	if node.Deadline != 0 {
		t.expiry.Set(node)
	}
}

// remove takes node and everything below it out of the tree.
func (t *tree) remove(node *Node) {
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
			t.removeOne(n)
		}
	}
	t.removeOne(node)
}

func (t *tree) removeOne(node *Node) {
	t.nodes.Delete(node)
	if node.Deadline != 0 {
		t.expiry.Delete(node)
	}
}

// empty says whether the directory has no children.
func (t *tree) empty(dir *Node) bool {
	prefix := dir.Path + "/"
	empty := true
	t.nodes.Ascend(t.at(prefix), func(n *Node) bool {
		empty = !strings.HasPrefix(n.Path, prefix)
		return false
	})
	return empty
}

// children returns the nodes directly in a directory, sorted by name.
func (t *tree) children(dir string) []*Node {
	prefix := dir
	if dir != "/" {
		prefix += "/"
	}
	var nodes []*Node
	cursor := t.nodes.Iter()
	defer cursor.Release()
	for ok := cursor.Seek(t.at(prefix)); ok; {
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
		ok = cursor.Seek(t.at(node.Path[:len(prefix)+below] + "0"))
	}
	return nodes
}

// parent returns the path of the directory that path is in. The root is in
// itself.
func parent(path string) string {
	if slash := strings.LastIndexByte(path, '/'); slash > 0 {
		return path[:slash]
	}
	return "/"
}

// child returns the path one component longer than dir on the way to path,
// which is below dir.
func child(dir, path string) string {
	start := len(dir) + 1
	if dir == "/" {
		start = 1
	}
	if slash := strings.IndexByte(path[start:], '/'); slash >= 0 {
		return path[:start+slash]
	}
	return path
}
