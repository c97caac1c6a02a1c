package tree

// Totals are sums over nodes. The root does not count.
type Totals struct {
	// Nodes is how many there are, and Dirs how many of them are directories.
	Nodes, Dirs int
	// Deadlines is how many nodes have a time to live.
	Deadlines int
	// Bytes is how long their paths and values are.
	Bytes int64
}

// NodeSize is what a node counts besides its path and its value, in bytes: about the memory that it
// takes. It is part of what commands mean, so it never changes.
const NodeSize = 128

// Size returns how many bytes count against the quota.
func (t Totals) Size() int64 { return t.Bytes + NodeSize*int64(t.Nodes) }

// count counts a node once more, or once less with -1.
func (t *Totals) count(node *Node, times int) {
	t.Nodes += times
	if node.Dir {
		t.Dirs += times
	}
	if node.Deadline != 0 {
		t.Deadlines += times
	}
	t.Bytes += int64(times * (len(node.Path) + len(node.Value)))
}

func (t *Totals) add(other Totals) {
	t.Nodes += other.Nodes
	t.Dirs += other.Dirs
	t.Deadlines += other.Deadlines
	t.Bytes += other.Bytes
}

// Totals returns those of all nodes, in constant time.
func (t *Tree) Totals() Totals { return t.nodes.totals() }

// HistoryBytes returns how many bytes of the history count against [MaxHistoryBytes].
func (t *Tree) HistoryBytes() int { return t.history.bytes }
