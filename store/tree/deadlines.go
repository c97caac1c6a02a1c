package tree

import (
	"cmp"
	"container/heap"

	"etcd/store/logtime"
)

// due returns the nodes whose deadline is not after now, at most limit of them, in the order
// of their deadlines, then of their paths. It visits only the pages on the way to them.
func (b *btree) due(now logtime.Time, limit int) []*Node {
	var due []*Node
	var next frontier
	next.addPage(b.root, now)
	for len(next) > 0 && len(due) < limit {
		first := heap.Pop(&next).(candidate)
		if first.page == nil {
			due = append(due, first.node)
			continue
		}
		p := first.page
		for i := 0; i <= p.n; i++ {
			if p.children != nil {
				next.addPage(p.children[i], now)
			}
			if i < p.n && p.items[i].Deadline != 0 && p.items[i].Deadline <= now {
				heap.Push(&next, candidate{deadline: p.items[i].Deadline, node: p.items[i]})
			}
		}
	}
	return due
}

// candidate is a node that is due, or a page with such a node in it or below it.
type candidate struct {
	deadline logtime.Time // the earliest
	node     *Node        // of a page the first in it, whose path orders the page
	page     *page
}

// frontier is a heap of candidates none of which is in or below another one.
type frontier []candidate

func (f *frontier) addPage(p *page, now logtime.Time) {
	if p != nil && p.earliest != 0 && p.earliest <= now {
		heap.Push(f, candidate{deadline: p.earliest, node: p.items[0], page: p})
	}
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (f *frontier) Len() int { return len(*f) }

func (f *frontier) Less(i, j int) bool {
	a, b := (*f)[i], (*f)[j]
	return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.node.Path, b.node.Path)) < 0
}

func (f *frontier) Swap(i, j int) { (*f)[i], (*f)[j] = (*f)[j], (*f)[i] }

func (f *frontier) Push(x any) { *f = append(*f, x.(candidate)) }

func (f *frontier) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	*f = (*f)[:last]
	return x
}
