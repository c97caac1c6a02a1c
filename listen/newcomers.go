package listen

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"etcd/endpoint"
)

// newcomers are the connections at the port for machines over which nobody has been let in
// yet. There is always room for one more: when there are as many as there may be, one of
// the host that has the most of them goes, the one that has been there for longest. So
// whoever opens many keeps nobody out, and a member, which needs a few round trips, is let
// in before it is its turn. The streams of members are none of them, and stay.
type newcomers struct {
	limit int // 0: nobody is counted
	mu    sync.Mutex
	here  []*Conn // in the order in which they came
}

// add counts a connection. It returns the one that has to go for it, if any.
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

// crowding is the oldest connection of the host that has the most. n.mu is held.
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

// remove no longer counts a connection: it has ended, or whoever has opened it was let in.
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

// dismiss ends a connection for which another one has come. It is told why if nothing is
// under way on it and that costs nothing, see refuse. The goroutine that serves it sees the
// end and cleans up; it does not count any more.
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
