package tree

import (
	"fmt"
	"strings"
	"time"

	"etcd/store/logtime"
	"etcd/store/storepb"
)

// Set carries out a Set. A condition on existence decides what it is: if the
// node must be missing, it is a creation, whatever else is asked for; if the
// node must exist, it is an update, or a compare-and-swap if a value or an
// index is compared as well.
func (t *Tree) Set(index uint64, now logtime.Time, m *storepb.Set) Outcome {
	outcome := t.set(index, now, m)
	outcome.Action = actionOfSet(m.GetCondition())
	return outcome
}

// actionOfSet returns what a Set with this condition is to do.
func actionOfSet(c *storepb.Condition) Action {
	switch {
	case mustNotExist(c):
		return ActionCreate
	case hasCompare(c):
		return ActionCompareAndSwap
	case c.GetExist():
		return ActionUpdate
	}
	return ActionSet
}

func (t *Tree) set(index uint64, now logtime.Time, m *storepb.Set) Outcome {
	path, c := m.GetPath(), m.GetCondition()
	if path == "/" {
		return refuse(&Failure{Code: RootReadOnly, Path: path})
	}
	value, deadline := storepb.Owned(m.GetValue()), deadline(now, m.TtlNs)
	old := t.find(path)
	if mustNotExist(c) {
		if old != nil {
			return refuse(&Failure{Code: NodeExists, Path: path, Node: old})
		}
		return t.createNode(index, ActionCreate, path, m.GetDir(), value, deadline)
	}
	if old == nil {
		if m.GetRefresh() || c.GetExist() || hasCompare(c) {
			return refuse(t.missing(path))
		}
		return t.createNode(index, ActionSet, path, m.GetDir(), value, deadline)
	}
	if m.GetRefresh() {
		value = old.Value
	}
	if old.Dir {
		if c.GetExist() && !hasCompare(c) && value == "" {
			return t.updateDir(index, m, old, deadline)
		}
		return refuse(&Failure{Code: NotFile, Path: path, Node: old})
	}
	if m.GetDir() && c.GetExist() && !hasCompare(c) {
		return refuse(&Failure{Code: NotDir, Path: path, Node: old})
	}

	// Not the path of old, which shares memory with its value.
	node := &Node{Path: path, Value: value, Created: old.Created, Modified: index, Deadline: deadline}
	action := ActionUpdate
	switch {
	case hasCompare(c):
		if !matches(c, old) {
			return refuse(&Failure{Code: CompareFailed, Path: path, Node: old})
		}
		action = ActionCompareAndSwap
	case !c.GetExist():
		action = ActionSet
		node.Created = index
		if m.GetDir() {
			node.Dir, node.Value = true, ""
		}
	}
	if f := t.checkRoom(path, int64(len(node.Value)-len(old.Value))); f != nil {
		return refuse(f)
	}
	t.nodes.put(node)
	return t.publishUnlessRefresh(index, m.GetRefresh(), action, node, old)
}

// updateDir gives a directory another time to live. The event has this
// command's modified index; the directory itself keeps its own, as in the v2
// API.
func (t *Tree) updateDir(index uint64, m *storepb.Set, old *Node, deadline logtime.Time) Outcome {
	node := *old
	node.Deadline = deadline
	t.nodes.put(&node)
	seen := node
	seen.Modified = index
	return t.publishUnlessRefresh(index, m.GetRefresh(), ActionUpdate, &seen, old)
}

// createNode adds a node where there is none, with the directories it needs.
func (t *Tree) createNode(index uint64, action Action, path string, dir bool, value string, deadline logtime.Time) Outcome {
	node := &Node{Path: path, Dir: dir, Created: index, Modified: index, Deadline: deadline}
	if !dir {
		node.Value = value
	}
	if f := t.makeParents(index, node); f != nil {
		return refuse(f)
	}
	t.nodes.put(node)
	return t.publish(index, action, node, nil)
}

// makeParents makes the directories missing on the way to a new node, unless there is no room for them and
// the node.
func (t *Tree) makeParents(index uint64, node *Node) *Failure {
	path := node.Path
	above := t.above(path)
	if !above.Dir {
		return &Failure{Code: NotDir, Path: above.Path, Node: above}
	}
	size := sizeOf(path, node.Value)
	for dir := child(above.Path, path); dir != path; dir = child(dir, path) {
		size += sizeOf(dir, "")
	}
	if f := t.checkRoom(path, size); f != nil {
		return f
	}
	// Copies, since path shares memory with the value. Nested directories share them, so that a deep key
	// costs no more than its length, but none keeps more than twice as much as it needs.
	parent, shared := Parent(path), ""
	for dir := child(above.Path, path); dir != path; dir = child(dir, path) {
		if len(dir) > len(shared) {
			shared = strings.Clone(parent[:min(2*len(dir), len(parent))])
		}
		t.nodes.put(&Node{Path: shared[:len(dir)], Dir: true, Created: index, Modified: index})
	}
	return nil
}

// maxSkipped bounds how many names in a row a Create skips because they are taken.
const maxSkipped = 1000

// Create carries out a Create.
func (t *Tree) Create(index uint64, now logtime.Time, m *storepb.Create) Outcome {
	outcome := t.create(index, now, m)
	outcome.Action = ActionCreate
	return outcome
}

func (t *Tree) create(index uint64, now logtime.Time, m *storepb.Create) Outcome {
	dir := m.GetPath()
	if dir == "/" {
		dir = ""
	}
	// The name is as long as the longest index, so that names sort by age. One that somebody has taken
	// is skipped, and so many in a row at most: the next command begins one further on.
	name := func(number uint64) string { return fmt.Sprintf("%s/%020d", dir, number) }
	number := index
	for t.find(name(number)) != nil && number-index < maxSkipped {
		number++
	}
	path := name(number)
	if old := t.find(path); old != nil {
		return refuse(&Failure{Code: NodeExists, Path: path, Node: old})
	}
	return t.createNode(index, ActionCreate, path, m.GetDir(), storepb.Owned(m.GetValue()), deadline(now, m.TtlNs))
}

// Delete carries out a Delete.
func (t *Tree) Delete(index uint64, m *storepb.Delete) Outcome {
	outcome := t.delete(index, m)
	outcome.Action = ActionDelete
	if c := m.GetCondition(); hasCompare(c) && !mustNotExist(c) {
		outcome.Action = ActionCompareAndDelete
	}
	return outcome
}

func (t *Tree) delete(index uint64, m *storepb.Delete) Outcome {
	path, c := m.GetPath(), m.GetCondition()
	compare := hasCompare(c) && !mustNotExist(c)
	if path == "/" && !compare {
		return refuse(&Failure{Code: RootReadOnly, Path: path})
	}
	old, f := t.Get(path)
	switch {
	case f != nil:
		return refuse(f)
	case mustNotExist(c):
		return refuse(&Failure{Code: NodeExists, Path: path, Node: old})
	case old.Dir && (compare || !m.GetDir() && !m.GetRecursive()):
		return refuse(&Failure{Code: NotFile, Path: path, Node: old})
	case old.Dir && !m.GetRecursive() && !t.empty(old):
		return refuse(&Failure{Code: DirNotEmpty, Path: path, Node: old})
	case compare && !matches(c, old):
		return refuse(&Failure{Code: CompareFailed, Path: path, Node: old})
	case compare:
		return t.remove(index, ActionCompareAndDelete, old)
	}
	return t.remove(index, ActionDelete, old)
}

// Expire carries out an Expire. The modified index alone would not do, because
// a directory keeps it when it gets another deadline. It was proposed by the clock of
// one machine and stamped by that of another if the leader has changed in between; for
// the second it may be too early.
func (t *Tree) Expire(index uint64, now logtime.Time, m *storepb.Expire) Outcome {
	outcome := t.expire(index, now, m)
	outcome.Action = ActionExpire
	return outcome
}

func (t *Tree) expire(index uint64, now logtime.Time, m *storepb.Expire) Outcome {
	old := t.find(m.GetPath())
	if old == nil || old == rootNode || old.Modified != m.GetModifiedIndex() || uint64(old.Deadline) != m.GetDeadline() ||
		now < old.Deadline {
		return Outcome{}
	}
	return t.remove(index, ActionExpire, old)
}

// remove removes a node from the tree, a directory with all that is below it.
// One event stands for all.
func (t *Tree) remove(index uint64, action Action, old *Node) Outcome {
	t.unlink(old)
	gone := &Node{Path: old.Path, Dir: old.Dir, Created: old.Created, Modified: index}
	return t.publish(index, action, gone, old)
}

// Unlink removes the node at path from the tree without an event, a directory
// with all that is below it.
func (t *Tree) Unlink(index uint64, path string) {
	if node := t.find(path); node != nil && node != rootNode {
		t.unlink(node)
		t.traces.note(&Event{Index: index, Action: ActionDelete, Node: node})
	}
}

// deadline returns when a node with the given time to live expires. Without
// one it never does, which is 0, so no moment may be that.
func deadline(now logtime.Time, ttl *int64) logtime.Time {
	if ttl == nil {
		return 0
	}
	return max(1, now.Add(time.Duration(*ttl)))
}

func refuse(f *Failure) Outcome { return Outcome{Failure: f} }

// publish records an event and returns the outcome with it.
func (t *Tree) publish(index uint64, action Action, node, prev *Node) Outcome {
	event := t.history.record(Event{Index: index, Action: action, Node: node, Prev: prev})
	t.traces.note(event)
	return Outcome{Event: event, Published: true}
}

// publishUnlessRefresh is publish, unless the command was a refresh: the result of that is
// for the caller only.
func (t *Tree) publishUnlessRefresh(index uint64, refresh bool, action Action, node, prev *Node) Outcome {
	if !refresh {
		return t.publish(index, action, node, prev)
	}
	return Outcome{Event: &Event{Index: index, Action: action, Node: node, Prev: prev}}
}

// mustNotExist reports whether the condition requires that there is no node.
func mustNotExist(c *storepb.Condition) bool {
	return c != nil && c.Exist != nil && !*c.Exist
}

// hasCompare reports whether the condition compares the value or the index of a file.
func hasCompare(c *storepb.Condition) bool {
	return c != nil && (c.Value != nil || c.Index != 0)
}

// matches reports whether a file has the value and the index that the condition requires.
func matches(c *storepb.Condition, file *Node) bool {
	return (c.Value == nil || string(c.Value) == file.Value) && (c.Index == 0 || c.Index == file.Modified)
}
