package mvcc

import (
	"fmt"
)

// Check returns in what the keyspace is not as it should be, views of it included.
func (k *Keyspace) Check(views []*View) error {
	for _, trees := range []func(*state) *btree{
		func(s *state) *btree { return &s.heads },
		func(s *state) *btree { return &s.older },
	} {
		b := trees(&k.state)
		if err := b.check(); err != nil {
			return err
		}
		for _, v := range views {
			shared := trees(&v.state)
			if err := shared.check(); err != nil {
				return fmt.Errorf("a view: %w", err)
			}
			if err := shared.sharesNoPageOf(b.epoch); err != nil {
				return err
			}
		}
	}
	for head := range k.heads.from(position{mod: -1}) {
		if old := k.older.next(position{key: head.key, mod: head.Mod, sub: head.sub}); old != nil && old.key == head.key {
			return fmt.Errorf("%q of %d.%d is not the newest", head.key, head.Mod, head.sub)
		}
	}
	if len(k.log.chunks) > 0 && k.log.chunks[0] == nil || k.log.start > k.freed || k.freed > k.freeable || k.freeable > k.log.end {
		return fmt.Errorf("a log from %d to %d, freed up to %d of %d", k.log.start, k.log.end, k.freed, k.freeable)
	}
	return nil
}

// InMemory returns how many versions are in memory.
func (k *Keyspace) InMemory() int { return k.heads.total().all + k.older.total().all }

// LogLen returns how many changes are in the log.
func (k *Keyspace) LogLen() int { return k.log.end - k.log.start }

func (b *btree) check() error {
	if b.root == nil {
		return nil
	}
	var last *Version
	depths := make(map[int]bool)
	var look func(p *page, depth int) error
	item := func(v *Version) error {
		if last != nil && last.compare(v.key, v.Mod, v.sub) >= 0 {
			return fmt.Errorf("%q of %d.%d is behind %q of %d.%d", v.key, v.Mod, v.sub, last.key, last.Mod, last.sub)
		}
		last = v
		return nil
	}
	look = func(p *page, depth int) error {
		if p.n < 1 || p.n > maxItems {
			return fmt.Errorf("a page has %d versions", p.n)
		}
		for i, v := range p.items {
			if (v != nil) != (i < p.n) {
				return fmt.Errorf("a page of %d versions has %v in place %d", p.n, v, i)
			}
		}
		if p.children == nil {
			depths[depth] = true
		} else {
			for i, child := range p.children {
				if (child != nil) != (i <= p.n) {
					return fmt.Errorf("a page of %d versions has %v as child %d", p.n, child, i)
				}
			}
		}
		var sum counts
		for i := 0; i <= p.n; i++ {
			if p.children != nil {
				child := p.children[i]
				if child.epoch > p.epoch {
					return fmt.Errorf("a page of epoch %d is below one of epoch %d", child.epoch, p.epoch)
				}
				if err := look(child, depth+1); err != nil {
					return err
				}
				sum.all, sum.live = sum.all+child.total.all, sum.live+child.total.live
			}
			if i < p.n {
				if err := item(p.items[i]); err != nil {
					return err
				}
				sum.add(p.items[i], 1)
			}
		}
		if sum != p.total {
			return fmt.Errorf("a page says %+v and has %+v", p.total, sum)
		}
		return nil
	}
	if err := look(b.root, 0); err != nil {
		return err
	}
	if len(depths) > 1 {
		return fmt.Errorf("there are leaves at depths %v", depths)
	}
	return nil
}

// sharesNoPageOf looks in a view for pages that may be changed in place.
func (b *btree) sharesNoPageOf(epoch uint64) error {
	var look func(p *page) error
	look = func(p *page) error {
		if p.epoch >= epoch {
			return fmt.Errorf("a view has a page of epoch %d while pages of epoch %d are changed in place", p.epoch, epoch)
		}
		if p.children != nil {
			for _, child := range p.children[:p.n+1] {
				if err := look(child); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if b.root == nil {
		return nil
	}
	return look(b.root)
}
