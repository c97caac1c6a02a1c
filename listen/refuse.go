package listen

import (
	"errors"
	"io"
	"net"
	"time"

	"etcd/endpoint"
)

const (
	// maxRefusing bounds the connections that are open only to be told that there are too
	// many. They are over the limit, so they use descriptors that the machine reserves for
	// its log and for its peers.
	maxRefusing = 32
	// refuseTimeout bounds telling one of them.
	refuseTimeout = time.Second
	// refusalWriteTimeout bounds writing the answer to a connection that is not waited for. The
	// answer fits into the send buffer of any new connection, so the write does not block.
	refusalWriteTimeout = 50 * time.Millisecond
)

// refuse closes a connection that is over a limit. A few at a time are given time to read
// why. Beyond those, a client is told only if that costs nothing: with TLS it would take a
// handshake, so it only sees its connection close.
func (l *listener) refuse(raw net.Conn, why Refusal) {
	refused := l.port.refused.Add(1)
	switch {
	case why == TooManyOfHost && l.hostLog.allow():
		l.port.log.Warn("too many connections from one address: new ones are refused with a 503; look for who opens so many there, "+
			"or raise -max-connections-per-address",
			"address", l.Addr().String(), "host", endpoint.HostOf(raw.RemoteAddr()).Addr().String(), "limit", l.port.cfg.MaxPerHost, "refused", refused)
	case why == TooMany && l.limitLog.allow():
		hint := "raise -max-connections and the limit of open files (ulimit -n), or look for who opens so many"
		if l.port.cfg.Peer {
			hint = "only the machines of the cluster should connect to this port; look for who else does"
		}
		l.port.log.Warn("too many connections: new ones are refused with a 503; "+hint,
			"address", l.Addr().String(), "limit", l.port.cfg.MaxConnections, "refused", refused)
	}
	select {
	case l.refusing <- struct{}{}:
		go func() {
			defer func() { <-l.refusing }()
			l.refuseGracefully(raw, why)
		}()
	default:
		if l.tls == nil && raw.SetWriteDeadline(time.Now().Add(refusalWriteTimeout)) == nil {
			_ = l.port.cfg.WriteRefusal(raw, why) // it is refused either way
		}
		_ = raw.Close()
	}
}

// refuseGracefully answers a connection that is over the limit. It waits a moment for what its client
// sends, because a connection that is closed with bytes unread is reset, and the client
// may not get to read the answer.
func (l *listener) refuseGracefully(raw net.Conn, why Refusal) {
	c := l.wrap(raw)
	defer c.Close()
	if raw.SetDeadline(time.Now().Add(refuseTimeout)) != nil {
		return
	}
	if s, ok := c.(*tlsConn); ok {
		if err := s.handshake(); err != nil && !errors.Is(err, ErrPlain) {
			return
		}
	}
	if l.port.cfg.WriteRefusal(c, why) != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, raw, lingerBytes) // whatever ends it, the next step is to close
	}
}
