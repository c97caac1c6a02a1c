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
	// Evicted, if it is not nil, is called with each victim while that can be neither removed nor added
	// again. It must not wait.
	Evicted func(victim T)

	mu    sync.Mutex
	conns []T                  // oldest first
	count map[netip.Prefix]int // of them, by host
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
		if r.Evicted != nil {
			r.Evicted(victim)
		}
	}
	r.conns = append(r.conns, c)
	if r.count == nil {
		r.count = make(map[netip.Prefix]int)
	}
	r.count[c.Host()]++
	return victim
}

// victim returns the oldest connection of the host that has the most. mu is held.
func (r *Room[T]) victim() T {
	most := 0
	for _, n := range r.count {
		most = max(most, n)
	}
	return r.conns[slices.IndexFunc(r.conns, func(c T) bool { return r.count[c.Host()] == most })]
}

// Remove stops counting a connection.
func (r *Room[T]) Remove(c T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(c)
}

func (r *Room[T]) drop(c T) {
	i := slices.Index(r.conns, c)
	if i < 0 {
		return
	}
	r.conns = slices.Delete(r.conns, i, i+1)
	host := c.Host()
	if r.count[host]--; r.count[host] == 0 {
		delete(r.count, host)
	}
}
