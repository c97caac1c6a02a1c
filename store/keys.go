package store

import (
	"fmt"

	"etcd/store/storepb"
)

// set carries out a Set. A condition on existence decides what it is: missing
// makes it a creation, whatever else is asked for; there makes it an update,
// or a compare-and-swap if a value or an index is compared as well.
func (s *Store) set(m *storepb.Set, now Time) Result {
	path, c := m.GetPath(), m.GetCondition()
	if path == "/" {
		return s.refuse(&Failure{Code: RootReadOnly, Path: path})
	}
	value, deadline := owned(m.GetValue()), deadline(now, m.TtlNs)
	old := s.tree.find(path)
	if toBeMissing(c) {
		if old != nil {
			return s.refuse(&Failure{Code: NodeExists, Path: path, Node: old})
		}
		return s.make(ActionCreate, path, m.GetDir(), value, deadline)
	}
	if old == nil {
		if m.GetRefresh() || c.GetExist() || compares(c) {
			return s.refuse(s.tree.missing(path))
		}
		return s.make(ActionSet, path, m.GetDir(), value, deadline)
	}
	if m.GetRefresh() {
		value = old.Value
	}
	if old.Dir {
		if c.GetExist() && !compares(c) && value == "" {
			return s.updateDir(m, old, deadline)
		}
		return s.refuse(&Failure{Code: NotFile, Path: path, Node: old})
	}

	node := &Node{Path: old.Path, Value: value, Created: old.Created, Modified: s.index, Deadline: deadline}
	action := ActionUpdate
	switch {
	case compares(c):
		if !matches(c, old) {
			return s.refuse(&Failure{Code: CompareFailed, Path: path, Node: old})
		}
		action = ActionCompareAndSwap
	case !c.GetExist():
		action = ActionSet
		node.Created = s.index
		if m.GetDir() {
			node.Dir, node.Value = true, ""
		}
	}
	s.tree.put(node, old)
	return s.report(m.GetRefresh(), action, node, old)
}

// updateDir gives a directory another time to live. The event says that it was
// modified by this command; the directory itself keeps its modified index, as
// in the v2 API.
func (s *Store) updateDir(m *storepb.Set, old *Node, deadline Time) Result {
	node := *old
	node.Deadline = deadline
	s.tree.put(&node, old)
	seen := node
	seen.Modified = s.index
	return s.report(m.GetRefresh(), ActionUpdate, &seen, old)
}

// make adds a node where there is none, with the directories it needs.
func (s *Store) make(action Action, path string, dir bool, value string, deadline Time) Result {
	if f := s.makeParents(path); f != nil {
		return s.refuse(f)
	}
	node := &Node{Path: path, Dir: dir, Created: s.index, Modified: s.index, Deadline: deadline}
	if !dir {
		node.Value = value
	}
	s.tree.put(node, nil)
	return s.publish(action, node, nil)
}

// makeParents makes the directories missing on the way to path, where nothing
// is.
func (s *Store) makeParents(path string) *Failure {
	above := s.tree.above(path)
	if !above.Dir {
		return &Failure{Code: NotDir, Path: above.Path, Node: above}
	}
	for dir := child(above.Path, path); dir != path; dir = child(dir, path) {
		s.tree.put(&Node{Path: dir, Dir: true, Created: s.index, Modified: s.index}, nil)
	}
	return nil
}

// createChild carries out a Create.
func (s *Store) createChild(m *storepb.Create, now Time) Result {
	dir := m.GetPath()
	if dir == "/" {
		dir = ""
	}
	// The name is as long as the longest index, so that names sort by age.
	path := fmt.Sprintf("%s/%020d", dir, s.index)
	if old := s.tree.find(path); old != nil {
		return s.refuse(&Failure{Code: NodeExists, Path: path, Node: old})
	}
	return s.make(ActionCreate, path, m.GetDir(), owned(m.GetValue()), deadline(now, m.TtlNs))
}

// delete carries out a Delete.
func (s *Store) delete(m *storepb.Delete) Result {
	path, c := m.GetPath(), m.GetCondition()
	compare := compares(c) && !toBeMissing(c)
	if path == "/" && !compare {
		return s.refuse(&Failure{Code: RootReadOnly, Path: path})
	}
	old, f := s.Get(path)
	switch {
	case f != nil:
		return s.refuse(f)
	case toBeMissing(c):
		return s.refuse(&Failure{Code: NodeExists, Path: path, Node: old})
	case old.Dir && (compare || !m.GetDir() && !m.GetRecursive()):
		return s.refuse(&Failure{Code: NotFile, Path: path, Node: old})
	case old.Dir && !m.GetRecursive() && !s.tree.empty(old):
		return s.refuse(&Failure{Code: DirNotEmpty, Path: path, Node: old})
	case compare && !matches(c, old):
		return s.refuse(&Failure{Code: CompareFailed, Path: path, Node: old})
	case compare:
		return s.remove(ActionCompareAndDelete, old)
	}
	return s.remove(ActionDelete, old)
}

// expire carries out an Expire. The modified index alone would not do, because
// a directory keeps it when it gets another deadline. It was proposed by the clock of
// one machine and stamped by that of another if the leader has changed in between; for
// the second it may be too early.
func (s *Store) expire(m *storepb.Expire, now Time) Result {
	old := s.tree.find(m.GetPath())
	if old == nil || old == rootNode || old.Modified != m.GetModifiedIndex() || uint64(old.Deadline) != m.GetDeadline() ||
		now < old.Deadline {
		return s.nothing()
	}
	return s.remove(ActionExpire, old)
}

// remove takes a node out of the tree, a directory with all that is below it.
// One event stands for all.
func (s *Store) remove(action Action, old *Node) Result {
	s.tree.remove(old)
	gone := &Node{Path: old.Path, Dir: old.Dir, Created: old.Created, Modified: s.index}
	return s.publish(action, gone, old)
}

// toBeMissing says whether the condition asks that nothing is there.
func toBeMissing(c *storepb.Condition) bool {
	return c != nil && c.Exist != nil && !*c.Exist
}

// compares says whether the condition looks at a file.
func compares(c *storepb.Condition) bool {
	return c != nil && (c.Value != nil || c.Index != 0)
}

// matches says whether a file is as the condition asks.
func matches(c *storepb.Condition, file *Node) bool {
	return (c.Value == nil || string(c.Value) == file.Value) && (c.Index == 0 || c.Index == file.Modified)
}
