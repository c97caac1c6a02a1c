package tree

import "iter"

// View is a whole tree as it was at one moment. It may be used in any goroutine
// while the tree goes on.
type View struct {
	nodes   btree
	history History
	limit   int
	quota   uint64
}

// View returns the tree as it is now. It takes constant time; what it shares with
// the tree is copied piece by piece when the tree changes it.
func (t *Tree) View() *View {
	return &View{nodes: t.nodes.view(), history: t.history.History, limit: t.history.limit, quota: t.quota}
}

// Len returns the number of nodes, without the root.
func (v *View) Len() int { return v.nodes.totals().Nodes }

// Nodes returns all nodes but the root, in the order of their paths.
func (v *View) Nodes() iter.Seq[*Node] { return v.nodes.from("") }

// History returns the events kept for watchers.
func (v *View) History() History { return v.history }

// HistoryLimit returns the number of events the history may hold.
func (v *View) HistoryLimit() int { return v.limit }

// Quota returns how many bytes the tree may have, see [Tree.SetQuota].
func (v *View) Quota() uint64 { return v.quota }

// Get returns the node at a clean path. It fails with KeyNotFound or NotDir.
func (v *View) Get(path string) (*Node, *Failure) { return v.nodes.lookUp(path) }

// Below returns the nodes below the directory at a clean path, see [Tree.Below].
func (v *View) Below(path string, limit int) []*Node { return v.nodes.allBelow(path, limit) }

// CountBelow returns how many nodes are below the directory at a clean path, at whatever depth, without
// looking at them.
func (v *View) CountBelow(path string) int {
	from, to := below(path)
	return v.nodes.rank(to) - v.nodes.rank(from)
}

// Children returns the nodes directly in the directory at a clean path that come after
// the one at another path, "" for the first ones: at most limit of them, hidden ones
// included, sorted by name. After the path of the last one the next page begins.
func (v *View) Children(path, after string, limit int) []*Node {
	return v.nodes.children(path, after, limit)
}
