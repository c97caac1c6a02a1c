package watch

import (
	"cmp"
	"slices"

	"etcd/store/tree"
)

// paths finds the watches that an event may concern. It is a tree of the watched paths, each
// with its watches in the order in which they were added. Every place can be looked up by
// its path, so an event costs a lookup for its key and each directory above it, and the
// removal of a directory a visit to each place below it.
type paths[T any] struct {
	places map[string]*place[T]
}

// place is a path that is watched, or is above one that is.
type place[T any] struct {
	path        string
	first, last *spot[T]

	parent, child, prev, next *place[T] // child is any of them, the first of a list
}

// spot is one watch at a place.
type spot[T any] struct {
	value      T
	place      *place[T]
	prev, next *spot[T]
}

func newPaths[T any](size int) paths[T] { return paths[T]{places: make(map[string]*place[T], size)} }

func (p *paths[T]) add(path string, s *spot[T]) {
	at := p.place(path)
	s.place, s.prev = at, at.last
	if at.last == nil {
		at.first = s
	} else {
		at.last.next = s
	}
	at.last = s
}

func (p *paths[T]) place(path string) *place[T] {
	if at := p.places[path]; at != nil {
		return at
	}
	at := &place[T]{path: path}
	p.places[path] = at
	if path != "/" {
		above := p.place(tree.Parent(path))
		at.parent, at.next = above, above.child
		if above.child != nil {
			above.child.prev = at
		}
		above.child = at
	}
	return at
}

func (p *paths[T]) remove(s *spot[T]) {
	at := s.place
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
	s.place, s.prev, s.next = nil, nil, nil
	for at != nil && at.first == nil && at.child == nil {
		delete(p.places, at.path)
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
		if at := p.places[path]; at != nil {
			at.visit(visit)
		}
		if path == "/" {
			break
		}
	}
	if !removesSubtree(e) {
		return
	}
	at := p.places[e.Node.Path]
	if at == nil || at.child == nil {
		return
	}
	below := at.below(nil)
	slices.SortFunc(below, func(a, b *place[T]) int { return cmp.Compare(a.path, b.path) })
	for _, at := range below {
		at.visit(visit)
	}
}

func (at *place[T]) visit(visit func(T)) {
	for s := at.first; s != nil; {
		following := s.next
		visit(s.value)
		s = following
	}
}

// below appends the places below at to all.
func (at *place[T]) below(all []*place[T]) []*place[T] {
	for child := at.child; child != nil; child = child.next {
		all = child.below(append(all, child))
	}
	return all
}
