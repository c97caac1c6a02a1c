package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"etcd/store/logtime"
)

// check fails unless the tree keeps its invariants.
func (b *btree) check(t *rapid.T) {
	if b.root == nil {
		return
	}
	depths := make(map[int]bool)
	var look func(p *page, depth int)
	look = func(p *page, depth int) {
		if p.n < 1 || p.n > maxItems {
			t.Fatalf("a page has %d nodes", p.n)
		}
		for i, node := range p.items {
			if (node != nil) != (i < p.n) {
				t.Fatalf("a page of %d nodes has %v in place %d", p.n, node, i)
			}
		}
		if p.children == nil {
			depths[depth] = true
		} else {
			for i, child := range p.children {
				if (child != nil) != (i <= p.n) {
					t.Fatalf("a page of %d nodes has %v as child %d", p.n, child, i)
				}
				if child != nil {
					look(child, depth+1)
				}
			}
		}
		totals, earliest, latest := p.totals, p.earliest, p.latest
		if p.recompute(); p.totals != totals || p.earliest != earliest || p.latest > latest {
			t.Fatalf("a page says %+v, deadline %d and index %d, and has %+v, %d and %d", totals, earliest, latest, p.totals, p.earliest, p.latest)
		}
		p.latest = latest
	}
	look(b.root, 0)
	if len(depths) > 1 {
		t.Fatalf("there are leaves at depths %v", depths)
	}
}

func inOrder(model map[string]*Node) []*Node {
	return slices.SortedFunc(maps.Values(model), func(a, b *Node) int { return cmp.Compare(a.Path, b.Path) })
}

func drawNode(t *rapid.T) *Node {
	node := &Node{Path: drawKey(t), Dir: rapid.Bool().Draw(t, "directory")}
	if !node.Dir {
		node.Value = strings.Repeat("v", rapid.IntRange(0, 3).Draw(t, "length"))
	}
	if rapid.Bool().Draw(t, "expires") {
		node.Deadline = logtime.Time(rapid.IntRange(1, 9).Draw(t, "deadline"))
	}
	return node
}

func drawKey(t *rapid.T) string { return fmt.Sprintf("%04d", rapid.IntRange(0, 9999).Draw(t, "key")) }

// The tree equals a map, whatever is put, removed and cut, and views stay as they were.
func TestBTreeMatchesMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b btree
		model := make(map[string]*Node)
		type moment struct {
			view  btree
			nodes []*Node
		}
		var views []moment
		var index uint64
		put := func(node *Node) {
			index++
			node.Modified = index
			b.put(node)
			model[node.Path] = node
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) { put(drawNode(t)) },
			"put many": func(t *rapid.T) {
				at, step := rapid.IntRange(0, 9999).Draw(t, "at"), rapid.SampledFrom([]int{1, 7, -1}).Draw(t, "step")
				for range rapid.IntRange(0, 2000).Draw(t, "how many") {
					put(&Node{Path: fmt.Sprintf("%04d", at), Deadline: logtime.Time(at % 5)})
					at = (at + step + 10_000) % 10_000
				}
			},
			"remove": func(t *rapid.T) {
				if path := drawKey(t); model[path] != nil {
					b.remove(path)
					delete(model, path)
				}
			},
			"remove many": func(t *rapid.T) {
				step := rapid.IntRange(2, 9).Draw(t, "step")
				for i, node := range inOrder(model) {
					if i%step > 0 {
						b.remove(node.Path)
						delete(model, node.Path)
					}
				}
			},
			"cut": func(t *rapid.T) {
				from, to := drawKey(t), drawKey(t)
				if from > to {
					from, to = to, from
				}
				b.cut(from, to)
				maps.DeleteFunc(model, func(path string, _ *Node) bool { return path >= from && path < to })
			},
			"view": func(t *rapid.T) { views = append(views, moment{b.view(), inOrder(model)}) },
			"look": func(t *rapid.T) {
				from, now := drawKey(t), logtime.Time(rapid.IntRange(0, 9).Draw(t, "now"))
				if b.get(from) != model[from] {
					t.Fatalf("%s is %v, want %v", from, b.get(from), model[from])
				}
				before := slices.DeleteFunc(inOrder(model), func(n *Node) bool { return n.Path >= from })
				if got := b.before(from); got != nil && len(before) == 0 || len(before) > 0 && got != before[len(before)-1] {
					t.Fatalf("before %s is %v, want the last of %d nodes", from, got, len(before))
				}
				want := slices.DeleteFunc(inOrder(model), func(n *Node) bool { return n.Path < from })
				if got := slices.Collect(b.from(from)); !slices.Equal(got, want) {
					t.Fatalf("from %s on there are %d nodes, want %d", from, len(got), len(want))
				}
				due := slices.DeleteFunc(inOrder(model), func(n *Node) bool { return n.Deadline == 0 || n.Deadline > now })
				slices.SortStableFunc(due, func(a, b *Node) int { return cmp.Compare(a.Deadline, b.Deadline) })
				due = due[:min(len(due), rapid.IntRange(0, 3000).Draw(t, "limit"))]
				if got := b.due(now, len(due)); !slices.Equal(got, due) {
					t.Fatalf("%d nodes are due, want %d", len(got), len(due))
				}
			},
			"look for changes": func(t *rapid.T) {
				from, to, since := drawKey(t), drawKey(t), rapid.Uint64Range(0, index+1).Draw(t, "since")
				if from > to {
					from, to = to, from
				}
				want := slices.DeleteFunc(inOrder(model), func(n *Node) bool { return n.Path < from || n.Path >= to || n.Modified < since })
				want = want[:min(len(want), rapid.IntRange(1, 3000).Draw(t, "limit"))]
				var got []*Node
				if all := b.modified(from, to, since, func(n *Node) bool { got = append(got, n); return len(got) < len(want) }); !slices.Equal(got, want) {
					t.Fatalf("from %s to %s %d nodes are of index %d or later, want %d (all: %t)", from, to, len(got), since, len(want), all)
				}
			},
			"": func(t *rapid.T) {
				b.check(t)
				if got := slices.Collect(b.from("")); !slices.Equal(got, inOrder(model)) || b.totals().Nodes != len(model) {
					t.Fatalf("the tree has %d nodes and says %d, want %d", len(got), b.totals().Nodes, len(model))
				}
				for _, m := range views {
					if got := slices.Collect(m.view.from("")); !slices.Equal(got, m.nodes) {
						t.Fatal("a view has changed")
					}
				}
			},
		})
	})
}

// Whatever is in a directory, removing it copies no more than the pages at its edges, even if
// a view shares all of them.
func TestCutCopiesOnlyEdges(t *testing.T) {
	var b btree
	for i := range 200_000 {
		b.put(&Node{Path: fmt.Sprintf("%06d", i)})
	}
	view := b.view()
	b.cut("010000", "190000")
	if b.totals().Nodes != 20_000 || view.totals().Nodes != 200_000 {
		t.Fatalf("%d of %d nodes are left", b.totals().Nodes, view.totals().Nodes)
	}
	copied := 0
	var count func(p *page)
	count = func(p *page) {
		if p.epoch != b.epoch {
			return
		}
		copied++
		if p.children != nil {
			for _, child := range p.children[:p.n+1] {
				count(child)
			}
		}
	}
	if count(b.root); copied > 30 {
		t.Errorf("%d pages were copied", copied)
	}
}
