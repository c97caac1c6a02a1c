package mvcc

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawPosition(t *rapid.T) position {
	return position{fmt.Sprintf("%04d", rapid.IntRange(0, 9999).Draw(t, "key")), rapid.Int64Range(0, 3).Draw(t, "revision"), 0}
}

// A tree equals a map, whatever is put, replaced and removed, and views stay as they were.
func TestBTreeMatchesMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b btree
		model := make(map[position]*Version)
		inOrder := func() (all []*Version) {
			for _, v := range model {
				all = append(all, v)
			}
			slices.SortFunc(all, func(a, b *Version) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.Mod, b.Mod)) })
			return all
		}
		type moment struct {
			view     btree
			versions []*Version
		}
		var views []moment
		put := func(at position, live bool) {
			v := &Version{key: at.key, Mod: at.mod}
			if live {
				v.Create = 1
			}
			if model[at] != nil {
				b.remove(model[at])
			}
			b.put(v)
			model[at] = v
		}
		remove := func(v *Version) {
			b.remove(v)
			delete(model, v.position())
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) { put(drawPosition(t), rapid.Bool().Draw(t, "live")) },
			"put many": func(t *rapid.T) {
				at, step := rapid.IntRange(0, 9999).Draw(t, "at"), rapid.SampledFrom([]int{1, 7, 9999}).Draw(t, "step")
				revision := rapid.Int64Range(0, 3).Draw(t, "revision")
				for range rapid.IntRange(0, 2000).Draw(t, "how many") {
					put(position{fmt.Sprintf("%04d", at), revision, 0}, at/50%2 == 0)
					at = (at + step) % 10_000
				}
			},
			"replace": func(t *rapid.T) {
				at := drawPosition(t)
				old := b.next(at)
				if old == nil {
					return
				}
				next := b.next(position{old.key, old.Mod, 1})
				if before := b.last(old.position()); before != nil && before.key == old.key || next != nil && next.key == old.key {
					return // it is not the only one of its key
				}
				v := &Version{key: old.key, Mod: old.Mod + 1, Create: rapid.Int64Range(0, 1).Draw(t, "created")}
				b.replace(old, v)
				delete(model, old.position())
				model[v.position()] = v
			},
			"remove": func(t *rapid.T) {
				if v := b.next(drawPosition(t)); v != nil {
					remove(v)
				}
			},
			"remove many": func(t *rapid.T) {
				from, most := drawPosition(t), rapid.IntRange(0, 3000).Draw(t, "how many")
				for i, v := range slices.Collect(b.from(from)) {
					if i < most {
						remove(v)
					}
				}
			},
			"thin out": func(t *rapid.T) {
				step := rapid.IntRange(2, 9).Draw(t, "step")
				for i, v := range inOrder() {
					if i%step > 0 {
						remove(v)
					}
				}
			},
			"view": func(t *rapid.T) { views = append(views, moment{b.view(), inOrder()}) },
			"look": func(t *rapid.T) {
				at, all := drawPosition(t), inOrder()
				i, _ := slices.BinarySearchFunc(all, at, func(v *Version, at position) int { return v.compare(at.key, at.mod, at.sub) })
				var next, last *Version
				if i < len(all) {
					next = all[i]
				}
				if i > 0 {
					last = all[i-1]
				}
				if b.next(at) != next || b.last(at) != last {
					t.Fatalf("before %v is %v and after it %v, want %v and %v", at, b.last(at), b.next(at), last, next)
				}
				var n counts
				for _, v := range all[:i] {
					n.add(v, 1)
				}
				if b.before(at) != n {
					t.Fatalf("%+v are before %v, want %+v", b.before(at), at, n)
				}
				if got := slices.Collect(b.from(at)); !slices.Equal(got, all[i:]) {
					t.Fatalf("from %v on there are %d versions, want %d", at, len(got), len(all)-i)
				}
				live := slices.DeleteFunc(all[i:], (*Version).Deleted)
				if got := slices.Collect(b.live(at)); !slices.Equal(got, live) {
					t.Fatalf("from %v on there are %d versions that are no deletions, want %d", at, len(got), len(live))
				}
			},
			"": func(t *rapid.T) {
				if err := b.check(); err != nil {
					t.Fatal(err)
				}
				first := position{mod: math.MinInt64}
				if got := slices.Collect(b.from(first)); !slices.Equal(got, inOrder()) {
					t.Fatalf("there are %d versions, want %d", len(got), len(model))
				}
				for _, m := range views {
					if got := slices.Collect(m.view.from(first)); !slices.Equal(got, m.versions) {
						t.Fatal("a view has changed")
					}
					if err := m.view.sharesNoPageOf(b.epoch); err != nil {
						t.Fatal(err)
					}
				}
			},
		})
	})
}
