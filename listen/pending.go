package listen

import "time"

// evict closes a pending connection: one at the peer port whose dialer has not been admitted yet. A
// member, which needs a few round trips, is admitted before its turn to be evicted comes. The
// streams of members are not pending, and stay. Its client is told why if no request is in flight on
// it and telling costs nothing, see refuse. The goroutine that serves the connection sees it
// end and cleans up; the connection is no longer counted.
func (l *listener) evict(c *Conn) {
	refused := l.port.refused.Add(1)
	if l.limitLog.allow() {
		l.port.log.Warn("too many pending connections to the peer port: the oldest of the host that has the most are evicted; "+
			"only the machines of the cluster should connect to this port; look for who else does",
			"address", l.Addr().String(), "host", c.host.Addr().String(), "limit", l.port.pending.Limit, "refused", refused)
	}
	c.uncount()
	raw := rawConn(c.Conn)
	if !c.OverTLS() && c.idle.Load() && raw.SetWriteDeadline(time.Now().Add(refusalWriteTimeout)) == nil {
		_ = l.port.cfg.WriteRefusal(raw, TooMany) // it ends either way
	}
	_ = raw.Close()
}
