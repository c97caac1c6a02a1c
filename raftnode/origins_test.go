package raftnode_test

import (
	"testing"

	"pgregory.net/rapid"

	"etcd/raftnode"
)

// A leader takes every proposal of a process once, in whatever order they arrive, forgets
// settled ones, and remembers no more than it needs.
func TestOriginsAcceptProposalsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.OneOf(rapid.Uint64Range(0, 200), rapid.Uint64Range(1<<62, 1<<63)).Draw(t, "first")
		o := raftnode.NewOrigin(low)
		taken, refused := map[uint64]bool{}, map[uint64]bool{}
		highest := low
		near := func(what string, width uint64) uint64 { return low + rapid.Uint64Range(0, width).Draw(t, what) }
		t.Repeat(map[string]func(*rapid.T){
			"take": func(*rapid.T) {
				id := near("ID", 300)
				if got := o.Accept(id); got == taken[id] {
					t.Fatalf("take %d: %t, taken before: %t", id, got, taken[id])
				}
				taken[id], highest = true, max(highest, id)
			},
			"accept a settled ID": func(*rapid.T) {
				if low > 0 && o.Accept(low-1) {
					t.Fatalf("%d is taken, and %d is the first that is not settled", low-1, low)
				}
			},
			"accept an ID beyond the window": func(*rapid.T) {
				if o.Accept(low + raftnode.ForwardWindow) {
					t.Fatal("taken")
				}
			},
			"refuse": func(*rapid.T) {
				id := near("ID", 300)
				o.Accept(id)
				o.Refuse(id, raftnode.ErrOverloaded)
				taken[id], refused[id], highest = true, true, max(highest, id)
			},
			"settle": func(*rapid.T) {
				low = near("low", 150)
				o.Advance(low)
				o.Advance(low - min(low, 5)) // an older one that arrives late
			},
			"settle all and more": func(*rapid.T) {
				low = max(highest, low) + near("low", 100_000) - low
				o.Advance(low)
			},
			"": func(*rapid.T) {
				waiting := 0
				for id := range refused {
					if id < low {
						delete(refused, id)
						continue
					}
					if waiting++; o.Refused(id) == nil {
						t.Fatalf("it is forgotten that %d was refused", id)
					}
				}
				words, refusals := o.Size()
				if words > 300/64+3 || refusals > 2*300+64 {
					t.Fatalf("%d words and %d refusals are remembered, for %d", words, refusals, waiting)
				}
			},
		})
	})
}
