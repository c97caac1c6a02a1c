package grpcfront

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conns are the open connections, and the listener from which the gRPC server accepts them.
type conns struct {
	accepted chan *conn
	closing  sync.Once
	closed   chan struct{} // nothing is accepted any more
	silence  time.Duration // how long a connection may not answer

	mu   sync.Mutex
	open map[*conn]struct{}
}

func newConns(silence time.Duration) *conns {
	return &conns{accepted: make(chan *conn), closed: make(chan struct{}), silence: silence, open: make(map[*conn]struct{})}
}

// add has a connection accepted, or closes it if none are any more.
func (s *conns) add(raw net.Conn) {
	c := &conn{Conn: raw, in: s}
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	if l, ok := raw.(interface{ LimitSilence(time.Duration) error }); ok {
		_ = l.LimitSilence(s.silence) // it takes longer then until a client that has vanished is noticed
	}
	select {
	case s.accepted <- c:
	case <-s.closed:
		_ = c.Close() // there is nobody to tell
	}
}

// closeSilent closes the connections whose first frame has not come. The gRPC server would wait for it before it
// tells all others to go.
func (s *conns) closeSilent() { s.closeIf(func(c *conn) bool { return !c.begun.Load() }) }

// cutOff closes all connections.
func (s *conns) cutOff() { s.closeIf(func(*conn) bool { return true }) }

func (s *conns) closeIf(which func(*conn) bool) {
	var all []*conn
	s.mu.Lock()
	for c := range s.open {
		if which(c) {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		_ = c.Close() // there is nobody to tell
	}
}

// Accept implements [net.Listener].
func (s *conns) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (s *conns) Close() error {
	s.closing.Do(func() { close(s.closed) })
	return nil
}

// Addr implements [net.Listener].
func (s *conns) Addr() net.Addr { return handed{} }

// handed is the address of a listener that does not listen.
type handed struct{}

func (handed) Network() string { return "handed" }
func (handed) String() string  { return "client port" }

// conn is an open connection.
type conn struct {
	net.Conn
	in    *conns
	begun atomic.Bool // its first frame has come
	keeps
}

// SetDeadline implements [net.Conn]. The gRPC server takes back its deadline when the first frame has come.
func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.begun.Store(true)
	}
	return c.Conn.SetDeadline(t)
}

// tls returns the state of the connection's TLS; ok is false without it.
func (c *conn) tls() (state tls.ConnectionState, ok bool) {
	s, ok := c.Conn.(interface {
		TLS() (tls.ConnectionState, bool)
	})
	if !ok {
		return state, false
	}
	return s.TLS()
}

func (c *conn) Close() error {
	c.in.mu.Lock()
	delete(c.in.open, c)
	c.in.mu.Unlock()
	c.dropAll()
	return c.Conn.Close()
}
