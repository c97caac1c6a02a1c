package mvcc

import "iter"

// maxItems bounds the versions in a page, as that of the tree of the v2 keys is bounded: a write after a view
// copies a page of each level.
const (
	maxItems = 30
	minItems = maxItems / 2
)

// btree is a copy-on-write B-tree of versions in the order of [Version.compare]. A page is copied before its
// first change after a view was taken, and knows how many versions are in it and below it, and how many of
// these are no deletions.
type btree struct {
	root *page
	// epoch is that of the pages which no view shares: those may be changed in place.
	epoch uint64
}

// page has n versions and, unless it is a leaf, n+1 children around them. All leaves are at the same depth, and
// none but the root is empty.
type page struct {
	epoch    uint64
	total    counts
	n        int
	items    [maxItems + 1]*Version // one more than may stay, until the page is split
	children *[maxItems + 2]*page
}

// counts is how many versions there are, and how many of them are no deletions.
type counts struct{ all, live int }

func (c *counts) add(v *Version, n int) {
	c.all += n
	if !v.Deleted() {
		c.live += n
	}
}

// position is a place between versions: before all of a key from a revision on.
type position struct {
	key string
	mod int64
	sub uint32
}

func (v *Version) position() position { return position{v.key, v.Mod, v.sub} }

// view returns the versions as they are now, in constant time. It must not be written to.
func (b *btree) view() btree {
	b.epoch++
	return btree{root: b.root}
}

// total returns how many versions there are.
func (b *btree) total() counts {
	if b.root == nil {
		return counts{}
	}
	return b.root.total
}

// before returns how many versions are before a position.
func (b *btree) before(at position) (n counts) {
	for p := b.root; p != nil; {
		i := p.search(at)
		for _, v := range p.items[:i] {
			n.add(v, 1)
		}
		if p.children == nil {
			break
		}
		for _, child := range p.children[:i] {
			n.all, n.live = n.all+child.total.all, n.live+child.total.live
		}
		p = p.children[i]
	}
	return n
}

// last returns the last version before a position, nil if there is none.
func (b *btree) last(at position) (last *Version) {
	for p := b.root; p != nil; {
		i := p.search(at)
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

// next returns the first version from a position on, nil if there is none.
func (b *btree) next(at position) (next *Version) {
	for p := b.root; p != nil; {
		i := p.search(at)
		if i < p.n {
			next = p.items[i]
		}
		if p.children == nil {
			break
		}
		p = p.children[i]
	}
	return next
}

// from returns the versions from a position on, in order.
func (b *btree) from(at position) iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		if b.root != nil {
			b.root.ascend(&at, false, yield)
		}
	}
}

// live is from without deletions. It skips the pages that have nothing else.
func (b *btree) live(at position) iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		if b.root != nil {
			b.root.ascend(&at, true, yield)
		}
	}
}

func (p *page) ascend(at *position, live bool, yield func(*Version) bool) bool {
	if live && p.total.live == 0 {
		return true
	}
	i := 0
	if at != nil {
		i = p.search(*at)
	}
	for ; i <= p.n; i++ {
		if p.children != nil && !p.children[i].ascend(at, live, yield) {
			return false
		}
		at = nil // all that follows is after it
		if i < p.n && !(live && p.items[i].Deleted()) && !yield(p.items[i]) {
			return false
		}
	}
	return true
}

// search returns the place of the first version from a position on.
func (p *page) search(at position) int {
	low, high := 0, p.n
	for low < high {
		middle := (low + high) / 2
		if p.items[middle].compare(at.key, at.mod, at.sub) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// put adds a version that is not there.
func (b *btree) put(v *Version) {
	if b.root == nil {
		b.root = &page{epoch: b.epoch}
	}
	b.root = b.own(b.root)
	b.insert(b.root, v)
	if b.root.n > maxItems {
		b.root = &page{epoch: b.epoch, children: &[maxItems + 2]*page{b.root}}
		b.split(b.root, 0, v)
		b.root.recount()
	}
}

func (b *btree) insert(p *page, v *Version) {
	i := p.search(v.position())
	p.total.add(v, 1)
	if p.children == nil {
		p.insertItem(i, v)
		return
	}
	child := b.ownChild(p, i)
	if b.insert(child, v); child.n > maxItems {
		b.split(p, i, v)
	}
}

// replace puts a version in the place of another of the same key, which has to be there and to be the only one.
func (b *btree) replace(old, v *Version) {
	b.root = b.own(b.root)
	at := old.position()
	for p := b.root; ; {
		p.total.add(old, -1)
		p.total.add(v, 1)
		i := p.search(at)
		if i < p.n && p.items[i] == old {
			p.items[i] = v
			return
		}
		p = b.ownChild(p, i)
	}
}

// split splits a child that has one version too many because of a new one, so that writes in ascending order
// leave full pages behind.
func (b *btree) split(p *page, i int, added *Version) {
	left := p.children[i]
	at := left.n / 2
	if left.items[left.n-1] == added {
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
	left.recount()
	right.recount()
	p.insertItem(i, middle)
	copy(p.children[i+2:], p.children[i+1:p.n])
	p.children[i+1] = right
}

// remove removes a version, which has to be there.
func (b *btree) remove(v *Version) {
	b.root = b.own(b.root)
	b.removeFrom(b.root, v)
	for b.root != nil && b.root.n == 0 {
		if b.root.children == nil {
			b.root = nil
			return
		}
		b.root = b.own(b.root.children[0])
	}
}

func (b *btree) removeFrom(p *page, v *Version) {
	i := p.search(v.position())
	p.total.add(v, -1)
	switch {
	case p.children == nil:
		p.removeItem(i)
	case i < p.n && p.items[i] == v:
		p.items[i] = b.removeLast(b.ownChild(p, i))
		b.rebalance(p, i)
	default:
		b.removeFrom(b.ownChild(p, i), v)
		b.rebalance(p, i)
	}
}

func (b *btree) removeLast(p *page) (last *Version) {
	if p.children == nil {
		last = p.removeItem(p.n - 1)
	} else {
		last = b.removeLast(b.ownChild(p, p.n))
		b.rebalance(p, p.n)
	}
	p.total.add(last, -1)
	return last
}

// rebalance merges a child that has too few versions with a sibling, or shares the versions of the two evenly if
// they are too many for one page. The versions in and below p stay the same.
func (b *btree) rebalance(p *page, i int) {
	if p.children[i].n >= minItems || p.n == 0 {
		return
	}
	if i == p.n {
		i--
	}
	left, right := b.ownChild(p, i), b.ownChild(p, i+1)
	var items [2*maxItems + 1]*Version
	n := copy(items[:], left.items[:left.n])
	items[n] = p.items[i]
	n += 1 + copy(items[n+1:], right.items[:right.n])
	var children [2*maxItems + 2]*page
	if left.children != nil {
		copy(children[:], left.children[:left.n+1])
		copy(children[left.n+1:], right.children[:right.n+1])
	}
	if n <= maxItems {
		left.fill(items[:n], children[:n+1])
		p.removeItem(i)
		copy(p.children[i+1:], p.children[i+2:p.n+2])
		p.children[p.n+1] = nil
		return
	}
	middle := n / 2
	left.fill(items[:middle], children[:middle+1])
	p.items[i] = items[middle]
	right.fill(items[middle+1:n], children[middle+1:n+1])
}

func (p *page) fill(items []*Version, children []*page) {
	p.n = copy(p.items[:], items)
	clear(p.items[p.n:])
	if p.children != nil {
		clear(p.children[copy(p.children[:], children):])
	}
	p.recount()
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

func (p *page) insertItem(i int, v *Version) {
	copy(p.items[i+1:], p.items[i:p.n])
	p.items[i] = v
	p.n++
}

func (p *page) removeItem(i int) *Version {
	v := p.items[i]
	copy(p.items[i:], p.items[i+1:p.n])
	p.n--
	p.items[p.n] = nil
	return v
}

func (p *page) recount() {
	p.total = counts{}
	for _, v := range p.items[:p.n] {
		p.total.add(v, 1)
	}
	if p.children == nil {
		return
	}
	for _, child := range p.children[:p.n+1] {
		p.total.all, p.total.live = p.total.all+child.total.all, p.total.live+child.total.live
	}
}
