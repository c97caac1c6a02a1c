package listen

import (
	"net/netip"
	"slices"
	"sync"
)

// Room is for a bounded number of connections. There is always room for one more: at the limit,
// the oldest one of the host that has the most of them is evicted. So a host that opens many keeps
// nobody else out.
type Room[T Hosted] struct {
	Limit int // 0: none are counted

	mu    sync.Mutex
	conns []T // oldest first
}

// Hosted is a connection with a host.
type Hosted interface {
	comparable
	// Host returns the host of the client, as limits per host have it.
	Host() netip.Prefix
}

// Add counts a connection. It returns the one to evict for it, if any, which no longer counts.
func (r *Room[T]) Add(c T) (victim T) {
	if r.Limit == 0 {
		return victim
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) >= r.Limit {
		victim = r.victim()
		r.drop(victim)
	}
	r.conns = append(r.conns, c)
	return victim
}

// victim returns the oldest connection of the host that has the most. mu is held.
func (r *Room[T]) victim() T {
	count := make(map[netip.Prefix]int)
	oldest := r.conns[0]
	for _, c := range r.conns {
		count[c.Host()]++
	}
	for _, c := range r.conns {
		if count[c.Host()] > count[oldest.Host()] {
			oldest = c
		}
	}
	return oldest
}

// Remove stops counting a connection.
func (r *Room[T]) Remove(c T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(c)
}

func (r *Room[T]) drop(c T) {
	if i := slices.Index(r.conns, c); i >= 0 {
		r.conns = slices.Delete(r.conns, i, i+1)
	}
}
