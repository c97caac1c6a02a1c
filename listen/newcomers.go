package listen

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"etcd/endpoint"
)

// newcomers are the connections at the port for machines whose dialer has not been admitted
// yet. There is always room for one more: at the limit, the oldest connection of the host
// with the most of them is evicted. So a host that opens many keeps nobody out, and a member,
// which needs a few round trips, is admitted before its turn to be evicted comes. The streams
// of members are not among them, and stay.
type newcomers struct {
	limit int // 0: none are counted
	mu    sync.Mutex
	here  []*Conn // oldest first
}

// add counts a connection. It returns the one to evict for it, if any.
func (n *newcomers) add(c *Conn) (surplus *Conn) {
	if n.limit == 0 {
		return nil
	}
	c.host = endpoint.HostOf(c.RemoteAddr())
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.here) >= n.limit {
		surplus = n.crowding()
		n.drop(surplus)
	}
	n.here = append(n.here, c)
	return surplus
}

// crowding returns the oldest connection of the host that has the most. n.mu is held.
func (n *newcomers) crowding() *Conn {
	count := make(map[netip.Prefix]int)
	oldest := n.here[0]
	for _, c := range n.here {
		count[c.host]++
	}
	for _, c := range n.here {
		if count[c.host] > count[oldest.host] {
			oldest = c
		}
	}
	return oldest
}

// remove stops counting a connection: it has ended, or its dialer was admitted.
func (n *newcomers) remove(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(c)
}

func (n *newcomers) drop(c *Conn) {
	if i := slices.Index(n.here, c); i >= 0 {
		n.here = slices.Delete(n.here, i, i+1)
	}
}

// dismiss closes an evicted connection. Its client is told why if no request is in flight on
// it and telling costs nothing, see refuse. The goroutine that serves the connection sees it
// end and cleans up; the connection is no longer counted.
func (l *listener) dismiss(c *Conn) {
	refused := l.port.refused.Add(1)
	if l.crowded.due() {
		l.port.log.Warn("too many connections to the port for machines over which nobody was let in: the oldest of the host that has the most are closed; "+
			"only the machines of the cluster should connect to this port; look for who else does",
			"address", l.Addr().String(), "host", c.host.Addr().String(), "limit", l.port.newcomers.limit, "refused", refused)
	}
	c.uncount()
	raw := wire(c.Conn)
	if l.port.cfg.TLS == nil && c.quiet.Load() && raw.SetWriteDeadline(time.Now().Add(dismissTime)) == nil {
		_ = l.port.cfg.Crowded(raw) // it ends either way
	}
	_ = raw.Close()
}
