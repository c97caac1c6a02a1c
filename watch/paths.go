package watch

import (
	"cmp"
	"slices"

	"etcd/store/tree"
)

// paths finds the watches that an event may concern. It is a tree of the watched paths, each
// with its watches in the order in which they were added. Every node can be looked up by
// its path, so an event costs a lookup for its key and each directory above it, and the
// removal of a directory a visit to each node below it.
type paths[T any] struct {
	nodes map[string]*pathNode[T]
}

// pathNode is a path that is watched, or is above one that is.
type pathNode[T any] struct {
	path        string
	first, last *pathEntry[T]

	parent, child, prev, next *pathNode[T] // child is any of them, the first of a list
}

// pathEntry is one watch at a node.
type pathEntry[T any] struct {
	value      T
	node       *pathNode[T]
	prev, next *pathEntry[T]
}

func newPaths[T any](size int) paths[T] { return paths[T]{nodes: make(map[string]*pathNode[T], size)} }

func (p *paths[T]) add(path string, s *pathEntry[T]) {
	at := p.node(path)
	s.node, s.prev = at, at.last
	if at.last == nil {
		at.first = s
	} else {
		at.last.next = s
	}
	at.last = s
}

func (p *paths[T]) node(path string) *pathNode[T] {
	if at := p.nodes[path]; at != nil {
		return at
	}
	at := &pathNode[T]{path: path}
	p.nodes[path] = at
	if path != "/" {
		above := p.node(tree.Parent(path))
		at.parent, at.next = above, above.child
		if above.child != nil {
			above.child.prev = at
		}
		above.child = at
	}
	return at
}

func (p *paths[T]) remove(s *pathEntry[T]) {
	at := s.node
	if s.prev == nil {
		at.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		at.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.node, s.prev, s.next = nil, nil, nil
	for at != nil && at.first == nil && at.child == nil {
		delete(p.nodes, at.path)
		above := at.parent
		switch {
		case above == nil:
		case at.prev == nil:
			above.child = at.next
		default:
			at.prev.next = at.next
		}
		if at.next != nil {
			at.next.prev = at.prev
		}
		at = above
	}
}

// match visits the watches of the path of e and of those above it, from the path upwards, and
// if e removes a directory also those of the paths below it, in the order of paths. Meanwhile
// nothing may be added, and nothing removed but the watch that is being visited.
func (p *paths[T]) match(e *tree.Event, visit func(T)) {
	for path := e.Node.Path; ; path = tree.Parent(path) {
		if at := p.nodes[path]; at != nil {
			at.visit(visit)
		}
		if path == "/" {
			break
		}
	}
	if !removesSubtree(e) {
		return
	}
	at := p.nodes[e.Node.Path]
	if at == nil || at.child == nil {
		return
	}
	below := at.below(nil)
	slices.SortFunc(below, func(a, b *pathNode[T]) int { return cmp.Compare(a.path, b.path) })
	for _, at := range below {
		at.visit(visit)
	}
}

func (at *pathNode[T]) visit(visit func(T)) {
	for s := at.first; s != nil; {
		following := s.next
		visit(s.value)
		s = following
	}
}

// below appends the nodes below at to all.
func (at *pathNode[T]) below(all []*pathNode[T]) []*pathNode[T] {
	for child := at.child; child != nil; child = child.next {
		all = child.below(append(all, child))
	}
	return all
}
