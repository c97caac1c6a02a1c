package tree

import (
	"errors"
	"fmt"
)

// Loader rebuilds the tree that a View was of from its parts: first all nodes, then
// all events. It refuses parts that no tree can have.
type Loader struct {
	tree  *Tree
	index uint64
	last  string // path of the node before
}

// NewLoader returns a loader of a tree to which commands up to the given index were
// applied. Events up to cleared were dropped from its history.
func NewLoader(index uint64, historyLimit int, cleared uint64) (*Loader, error) {
	if cleared > index {
		return nil, errors.New("the history is ahead of the index of the snapshot")
	}
	l := &Loader{tree: New(), index: index}
	l.tree.history.limit, l.tree.history.cleared = historyLimit, cleared
	l.tree.traces.forgetUpTo(cleared)
	return l, nil
}

// SetQuota sets that of the tree, see [Tree.SetQuota].
func (l *Loader) SetQuota(bytes uint64) { l.tree.quota = bytes }

// Node adds the next node, in the order of paths.
func (l *Loader) Node(node *Node) error {
	if err := l.check(node); err != nil {
		return err
	}
	if node.Path <= l.last {
		return fmt.Errorf("%.100q is out of order", node.Path)
	}
	// A directory sorts before everything in it, so it is there already.
	if dir := l.tree.find(Parent(node.Path)); dir == nil || !dir.Dir {
		return fmt.Errorf("%.100q has no parent directory", node.Path)
	}
	l.tree.nodes.put(node)
	l.last = node.Path
	return nil
}

// Event adds the next event. If its node is equal to that in the tree, they share
// memory.
func (l *Loader) Event(event Event) error {
	history := &l.tree.history
	if !event.Action.valid() {
		return fmt.Errorf("unknown %v", event.Action)
	}
	if event.Index > l.index || event.Index <= max(history.cleared, history.Last()) {
		return fmt.Errorf("event %d is out of order", event.Index)
	}
	if err := l.check(event.Node); err != nil {
		return err
	}
	if event.Node.Modified != event.Index {
		return fmt.Errorf("event %d has a node of index %d", event.Index, event.Node.Modified)
	}
	if current := l.tree.find(event.Node.Path); current != nil && *current == *event.Node {
		event.Node = current
	}
	if event.Prev != nil {
		if err := l.check(event.Prev); err != nil {
			return err
		}
	}
	cleared := history.cleared
	recorded := history.record(event)
	if history.cleared != cleared {
		return errors.New("the history exceeds its limits")
	}
	l.tree.traces.note(recorded)
	return nil
}

// Tree returns the complete tree.
func (l *Loader) Tree() *Tree { return l.tree }

func (l *Loader) check(node *Node) error {
	if !Clean(node.Path) || node.Path == "/" {
		return fmt.Errorf("path %.100q is not valid for a node", node.Path)
	}
	if node.Dir && node.Value != "" {
		return fmt.Errorf("directory %.100q has a value", node.Path)
	}
	if node.Created > node.Modified || node.Modified > l.index {
		return fmt.Errorf("%.100q has an index beyond that of the snapshot", node.Path)
	}
	return nil
}
