package tree

// maxSteps bounds how many changes are looked at for one watch.
const maxSteps = 256

// FirstChange returns where a watch of a clean path may begin that wants the events from an index on
// which the history does not reach back to: at the first of them, before it, or at the next one to come.
// ok is false if one that it wants may have been dropped. A path may be quiet for longer than the
// history lasts.
//
// The modified index of a file is that of its last change. If the history has the event, that has what
// was there before, with the index of the change before that.
func (t *Tree) FirstChange(path string, recursive bool, since uint64) (first uint64, ok bool) {
	h := t.History()
	if since > h.Cleared() {
		return since, true
	}
	s := search{history: h, since: since, first: max(h.Last(), h.Cleared()) + 1, left: maxSteps}
	s.undisturbed = t.traces.above(path) < since
	var own trace
	if n := t.traces.get(path); n != nil {
		own = *n
	}
	node := t.find(path)
	switch {
	case node == nil:
		ok = s.undisturbed && s.back(path, own.self, own.self)
	case !node.Dir:
		ok = s.back(path, node.Modified, own.self)
	case !recursive:
		ok = s.undisturbed && own.self < since && s.back(path, node.Modified, 0)
	default:
		ok = s.undisturbed && own.all < since && s.back(path, node.Modified, 0)
		from, to := below(path)
		ok = ok && t.nodes.modified(from, to, since, func(node *Node) bool { return s.back(node.Path, node.Modified, 0) })
	}
	return s.first, ok
}

// search looks for the first change from an index on.
type search struct {
	history History
	since   uint64
	first   uint64 // that was found
	left    int    // how many changes may still be looked at
	// undisturbed: nothing above the path was removed since then.
	undisturbed bool
}

// back goes back through the changes of a path, from that with the given index, and reports whether the
// history has all of them. removed is the index of its last removal, if that may matter.
func (s *search) back(path string, index, removed uint64) bool {
	for index >= s.since {
		e := s.history.at(index)
		if e == nil || s.left == 0 { // dropped, or none: a refresh makes no event
			return false
		}
		s.left--
		s.first = min(s.first, index)
		switch {
		case e.Node.Path != path || e.Prev == nil: // it was created, for what is below it if that is not its event
			if !s.undisturbed || removed >= index {
				return false
			}
			index = removed
		case e.Prev.Dir: // nothing tells how that had changed
			return false
		default:
			index = e.Prev.Modified
		}
	}
	return true
}

// modified visits the nodes from one path up to another, without that one, that have a modified index
// of since or a later one, until visit returns false. It reports whether it has visited all.
func (b *btree) modified(from, to string, since uint64, visit func(*Node) bool) bool {
	return b.root == nil || b.root.modified(from, to, since, visit)
}

// modified is that of [btree] for a page. An empty path is no limit.
func (p *page) modified(from, to string, since uint64, visit func(*Node) bool) bool {
	if p.latest < since {
		return true
	}
	i, j := 0, p.n
	if from != "" {
		i, _ = p.search(from)
	}
	if to != "" {
		j, _ = p.search(to)
	}
	for at := i; at <= j; at++ {
		if p.children != nil {
			first, end := "", ""
			if at == i {
				first = from
			}
			if at == j {
				end = to
			}
			if !p.children[at].modified(first, end, since, visit) {
				return false
			}
		}
		if at < j && p.items[at].Modified >= since && !visit(p.items[at]) {
			return false
		}
	}
	return true
}
