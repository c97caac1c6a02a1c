package tree

import (
	"iter"

	"etcd/store/logtime"
)

// maxItems bounds the nodes in a page. A write after a view copies a page of each level, so
// larger pages make writes more expensive, and smaller ones the tree higher.
const maxItems = 30

// minItems is how few nodes a page may have after a removal before it is filled from a sibling.
// A page may have fewer, because the splits of ascending writes leave full pages beside small
// ones.
const minItems = maxItems / 2

// btree is a B-tree of nodes by path. It is copy-on-write: view shares all pages, and a page is
// copied before its first change after that. A page knows the earliest deadline in and below
// it, and how late it was changed, so there is no second index of these, and removing a directory from
// the tree costs no more than its two edges, whatever is in it.
type btree struct {
	root *page
	// epoch is that of the pages which no view shares: those may be changed in place.
	epoch uint64
}

// page has n nodes and, unless it is a leaf, n+1 children around them. All leaves are at the
// same depth, and none but the root is empty.
type page struct {
	epoch    uint64
	totals   Totals       // of the nodes in it and below it
	earliest logtime.Time // deadline in it and below it, 0 if there is none
	latest   uint64       // modified index in it and below it, or that of a node that is gone
	n        int
	items    [maxItems + 1]*Node // one more than may stay, until the page is split
	children *[maxItems + 2]*page
}

// view returns the nodes as they are now, in constant time. It must not be written to.
func (b *btree) view() btree {
	b.epoch++
	return btree{root: b.root}
}

// totals returns those of all nodes.
func (b *btree) totals() Totals {
	if b.root == nil {
		return Totals{}
	}
	return b.root.totals
}

// earliest returns the earliest deadline, 0 if nothing expires.
func (b *btree) earliest() logtime.Time {
	if b.root == nil {
		return 0
	}
	return b.root.earliest
}

// get returns the node at path, nil if there is none.
func (b *btree) get(path string) *Node {
	for p := b.root; p != nil; {
		i, found := p.search(path)
		if found {
			return p.items[i]
		}
		if p.children == nil {
			break
		}
		p = p.children[i]
	}
	return nil
}

// rank returns how many nodes come before a path.
func (b *btree) rank(path string) (n int) {
	for p := b.root; p != nil; {
		i, _ := p.search(path)
		n += i
		if p.children == nil {
			break
		}
		for _, child := range p.children[:i] {
			n += child.totals.Nodes
		}
		p = p.children[i]
	}
	return n
}

// from returns the nodes from a path on, in order.
func (b *btree) from(path string) iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		if b.root != nil {
			b.root.ascend(path, yield)
		}
	}
}

// before returns the last node that comes before a path, nil if there is none.
func (b *btree) before(path string) (last *Node) {
	for p := b.root; p != nil; {
		i, _ := p.search(path)
		if i > 0 {
			last = p.items[i-1]
		}
		if p.children == nil {
			break
		}
		p = p.children[i]
	}
	return last
}

func (p *page) ascend(path string, yield func(*Node) bool) bool {
	i := 0
	if path != "" {
		var found bool
		if i, found = p.search(path); found {
			if !yield(p.items[i]) {
				return false
			}
			path = ""
			i++
		}
	}
	for ; i <= p.n; i++ {
		if p.children != nil && !p.children[i].ascend(path, yield) {
			return false
		}
		path = "" // all that follows is after it
		if i < p.n && !yield(p.items[i]) {
			return false
		}
	}
	return true
}

// search returns the place of the first node from a path on, and whether it has that path.
func (p *page) search(path string) (place int, found bool) {
	low, high := 0, p.n
	for low < high {
		middle := (low + high) / 2
		if p.items[middle].Path < path {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < p.n && p.items[low].Path == path
}

// put stores a node, in place of one with the same path.
func (b *btree) put(node *Node) {
	if b.root == nil {
		b.root = &page{epoch: b.epoch}
	}
	b.root = b.own(b.root)
	b.insert(b.root, node)
	if b.root.n > maxItems {
		b.root = &page{epoch: b.epoch, children: &[maxItems + 2]*page{b.root}}
		b.split(b.root, 0, node)
		b.root.recompute()
	}
}

// insert returns the node that was replaced, nil if there was none. The page may have one node
// too many afterwards.
func (b *btree) insert(p *page, node *Node) (old *Node) {
	i, found := p.search(node.Path)
	switch {
	case found:
		old = p.items[i]
		p.items[i] = node
	case p.children == nil:
		p.insertItem(i, node)
	default:
		child := b.ownChild(p, i)
		if old = b.insert(child, node); child.n > maxItems {
			b.split(p, i, node)
		}
	}
	p.update(old, node)
	return old
}

// split splits a child that has one node too many because of a new one, so that writes in
// ascending order leave full pages behind.
func (b *btree) split(p *page, i int, added *Node) {
	left := p.children[i]
	at := left.n / 2
	if left.items[left.n-1].Path <= added.Path {
		at = left.n - 2
	}
	right := &page{epoch: b.epoch}
	middle := left.items[at]
	right.n = copy(right.items[:], left.items[at+1:left.n])
	if left.children != nil {
		right.children = new([maxItems + 2]*page)
		copy(right.children[:], left.children[at+1:left.n+1])
		clear(left.children[at+1:])
	}
	clear(left.items[at:])
	left.n = at
	left.recompute()
	right.recompute()
	p.insertItem(i, middle)
	copy(p.children[i+2:], p.children[i+1:p.n])
	p.children[i+1] = right
}

// remove removes the node at path, which has to be there.
func (b *btree) remove(path string) {
	b.root = b.own(b.root)
	b.removeFrom(b.root, path)
	b.shrinkRoot()
}

func (b *btree) removeFrom(p *page, path string) (gone *Node) {
	i, found := p.search(path)
	switch {
	case p.children == nil:
		gone = p.removeItem(i)
	case found:
		gone = p.items[i]
		p.items[i] = b.removeLast(b.ownChild(p, i))
		b.rebalance(p, i)
	default:
		gone = b.removeFrom(b.ownChild(p, i), path)
		b.rebalance(p, i)
	}
	p.update(gone, nil)
	return gone
}

func (b *btree) removeLast(p *page) (gone *Node) {
	if p.children == nil {
		gone = p.removeItem(p.n - 1)
	} else {
		gone = b.removeLast(b.ownChild(p, p.n))
		b.rebalance(p, p.n)
	}
	p.update(gone, nil)
	return gone
}

// cut removes all nodes from one path up to another, without that one. It visits only the pages
// at the two edges, and drops what is between them as a whole.
func (b *btree) cut(from, to string) {
	if b.root == nil {
		return
	}
	b.root = b.own(b.root)
	var c cut
	b.cutFrom(b.root, from, to, &c)
	b.rebalancePath(from)
	b.rebalancePath(to)
	if c.between != nil {
		b.remove(c.between.Path)
	}
	for _, node := range c.spare {
		b.put(node)
	}
}

// cut is what is left to do once the edges of a cut are made.
type cut struct {
	// between is a node to be removed that is still needed to separate the two edges.
	between *Node
	// spare are nodes that stay and have no child on one side any more: at most one for each
	// level and edge. They are put back.
	spare []*Node
}

// cutFrom cuts p; if its totals say 0 afterwards, no node is left in it or below it. Pages at the
// edges may be left with a single child. An empty path is no limit.
func (b *btree) cutFrom(p *page, from, to string, c *cut) {
	defer p.recompute()
	i, j := 0, p.n
	if from != "" {
		i, _ = p.search(from)
	}
	if to != "" {
		j, _ = p.search(to)
	}
	if p.children == nil {
		p.removeItems(i, j)
		return
	}
	if i == j {
		child := b.ownChild(p, i)
		if b.cutFrom(child, from, to, c); child.totals.Nodes == 0 {
			p.dropChild(i, c)
		}
		return
	}
	// Of the nodes between child i and child j one stays, to separate the two edges.
	left, right := false, false
	if from != "" {
		child := b.ownChild(p, i)
		b.cutFrom(child, from, "", c)
		left = child.totals.Nodes > 0
	}
	if to != "" {
		child := b.ownChild(p, j)
		b.cutFrom(child, "", to, c)
		right = child.totals.Nodes > 0
	}
	p.removeItems(i+1, j)
	p.removeChildren(i+1, j)
	switch {
	case left && right:
		c.between = p.items[i]
	case left:
		p.removeItem(i)
		p.removeChildren(i+1, i+2)
	default:
		p.removeItem(i)
		p.removeChildren(i, i+1)
		if !right {
			p.dropChild(i, c)
		}
	}
}

// dropChild removes an empty child, and a node beside it, which is to be put back.
func (p *page) dropChild(i int, c *cut) {
	if p.n == 0 {
		p.children[i] = nil
		return
	}
	c.spare = append(c.spare, p.removeItem(max(i-1, 0)))
	p.removeChildren(i, i+1)
}

// rebalancePath fills the pages on the way to path.
func (b *btree) rebalancePath(path string) {
	b.shrinkRoot()
	for p := b.root; p != nil && p.children != nil; {
		i, _ := p.search(path)
		b.rebalance(p, i)
		if p == b.root && p.n == 0 {
			b.shrinkRoot()
			p = b.root
			continue
		}
		i, _ = p.search(path)
		p = b.ownChild(p, i)
	}
}

// shrinkRoot replaces the root by its child while that is its only one.
func (b *btree) shrinkRoot() {
	for b.root != nil && b.root.n == 0 {
		if b.root.totals.Nodes == 0 {
			b.root = nil
			return
		}
		b.root = b.own(b.root.children[0])
	}
}

// rebalance merges a child that has too few nodes with a sibling, or shares the nodes of the two
// evenly if they are too many for one page. The nodes in and below p stay the same.
func (b *btree) rebalance(p *page, i int) {
	if p.children[i].n >= minItems || p.n == 0 {
		return
	}
	if i == p.n {
		i--
	}
	left, right := b.ownChild(p, i), b.ownChild(p, i+1)
	var items [2*maxItems + 1]*Node
	n := copy(items[:], left.items[:left.n])
	items[n] = p.items[i]
	n += 1 + copy(items[n+1:], right.items[:right.n])
	var children [2*maxItems + 2]*page
	if left.children != nil {
		copy(children[:], left.children[:left.n+1])
		copy(children[left.n+1:], right.children[:right.n+1])
	}
	if n <= maxItems {
		left.fillWith(items[:n], children[:n+1])
		p.removeItem(i)
		p.removeChildren(i+1, i+2)
		return
	}
	middle := n / 2
	left.fillWith(items[:middle], children[:middle+1])
	p.items[i] = items[middle]
	right.fillWith(items[middle+1:n], children[middle+1:n+1])
}

func (p *page) fillWith(items []*Node, children []*page) {
	p.n = copy(p.items[:], items)
	clear(p.items[p.n:])
	if p.children != nil {
		clear(p.children[copy(p.children[:], children):])
	}
	p.recompute()
}

// own returns p, or a copy of it if a view shares it.
func (b *btree) own(p *page) *page {
	if p.epoch == b.epoch {
		return p
	}
	c := *p
	c.epoch = b.epoch
	if p.children != nil {
		children := *p.children
		c.children = &children
	}
	return &c
}

func (b *btree) ownChild(p *page, i int) *page {
	p.children[i] = b.own(p.children[i])
	return p.children[i]
}

func (p *page) insertItem(i int, node *Node) {
	copy(p.items[i+1:], p.items[i:p.n])
	p.items[i] = node
	p.n++
}

func (p *page) removeItem(i int) *Node {
	node := p.items[i]
	p.removeItems(i, i+1)
	return node
}

func (p *page) removeItems(i, j int) {
	copy(p.items[i:], p.items[j:p.n])
	clear(p.items[p.n-(j-i) : p.n])
	p.n -= j - i
}

// removeChildren is called after the same number of nodes was removed.
func (p *page) removeChildren(i, j int) {
	before := p.n + 1 + j - i
	copy(p.children[i:], p.children[j:before])
	clear(p.children[p.n+1 : before])
}

// update updates what the page knows of the nodes in it and below it after node has replaced old;
// either may be nil.
func (p *page) update(old, node *Node) {
	if old != nil {
		p.totals.count(old, -1)
		if old.Deadline != 0 && old.Deadline == p.earliest {
			p.recompute()
			return
		}
	}
	if node != nil {
		p.totals.count(node, 1)
		p.earliest = earlier(p.earliest, node.Deadline)
		p.latest = max(p.latest, node.Modified)
	}
}

// recompute counts the nodes in and below the page, and looks for their earliest deadline and their
// latest modified index.
func (p *page) recompute() {
	p.totals, p.earliest, p.latest = Totals{}, 0, 0
	for _, node := range p.items[:p.n] {
		p.totals.count(node, 1)
		p.earliest = earlier(p.earliest, node.Deadline)
		p.latest = max(p.latest, node.Modified)
	}
	if p.children == nil {
		return
	}
	for _, child := range p.children[:p.n+1] {
		if child != nil {
			p.totals.add(child.totals)
			p.earliest = earlier(p.earliest, child.earliest)
			p.latest = max(p.latest, child.latest)
		}
	}
}

// earlier returns the earlier of two deadlines; 0 is none.
func earlier(a, b logtime.Time) logtime.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
