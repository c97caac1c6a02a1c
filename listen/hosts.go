package listen

import (
	"net/netip"
	"sync"
)

// hosts counts the open connections of each host. Those without one, of unix sockets, do not count.
type hosts struct {
	limit int // of one; 0: they are not counted

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// add counts a connection of a host, and reports whether that is within the limit. If not, it does
// not count.
func (h *hosts) add(host netip.Prefix) bool {
	if h.limit == 0 || !host.IsValid() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[host] >= h.limit {
		return false
	}
	h.open[host]++
	return true
}

// remove stops counting a connection that add has counted.
func (h *hosts) remove(host netip.Prefix) {
	if h.limit == 0 || !host.IsValid() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[host]--; h.open[host] == 0 {
		delete(h.open, host)
	}
}
