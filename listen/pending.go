package listen

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"etcd/endpoint"
)

// pendingConns are the connections at the peer port whose dialer has not been admitted
// yet. There is always room for one more: at the limit, the oldest connection of the host
// with the most of them is evicted. So a host that opens many keeps nobody out, and a member,
// which needs a few round trips, is admitted before its turn to be evicted comes. The streams
// of members are not among them, and stay.
type pendingConns struct {
	limit int // 0: none are counted
	mu    sync.Mutex
	conns []*Conn // oldest first
}

// add counts a connection. It returns the one to evict for it, if any.
func (n *pendingConns) add(c *Conn) (victim *Conn) {
	if n.limit == 0 {
		return nil
	}
	c.host = endpoint.HostOf(c.RemoteAddr())
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.conns) >= n.limit {
		victim = n.victim()
		n.drop(victim)
	}
	n.conns = append(n.conns, c)
	return victim
}

// victim returns the oldest connection of the host that has the most. n.mu is held.
func (n *pendingConns) victim() *Conn {
	count := make(map[netip.Prefix]int)
	oldest := n.conns[0]
	for _, c := range n.conns {
		count[c.host]++
	}
	for _, c := range n.conns {
		if count[c.host] > count[oldest.host] {
			oldest = c
		}
	}
	return oldest
}

// remove stops counting a connection: it has ended, or its dialer was admitted.
func (n *pendingConns) remove(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(c)
}

func (n *pendingConns) drop(c *Conn) {
	if i := slices.Index(n.conns, c); i >= 0 {
		n.conns = slices.Delete(n.conns, i, i+1)
	}
}

// evict closes a pending connection. Its client is told why if no request is in flight on
// it and telling costs nothing, see refuse. The goroutine that serves the connection sees it
// end and cleans up; the connection is no longer counted.
func (l *listener) evict(c *Conn) {
	refused := l.port.refused.Add(1)
	if l.limitLog.allow() {
		l.port.log.Warn("too many pending connections to the peer port: the oldest of the host that has the most are evicted; "+
			"only the machines of the cluster should connect to this port; look for who else does",
			"address", l.Addr().String(), "host", c.host.Addr().String(), "limit", l.port.pending.limit, "refused", refused)
	}
	c.uncount()
	raw := rawConn(c.Conn)
	if !c.OverTLS() && c.idle.Load() && raw.SetWriteDeadline(time.Now().Add(refusalWriteTimeout)) == nil {
		_ = l.port.cfg.WriteRefusal(raw) // it ends either way
	}
	_ = raw.Close()
}
