package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// lingerTimeout and lingerBytes bound how much of a refused request is read and discarded, so
// that the client reads the answer instead of seeing its connection reset.
const (
	lingerTimeout = time.Second
	lingerBytes   = 64 << 20
)

// Conn is a connection to a port. Its first Read does the handshake if its listener has TLS, and
// checks whether the client speaks the port's protocol: if not, it returns ErrPlain or ErrTLS,
// and the client can still be answered.
type Conn struct {
	net.Conn
	port    *Port
	hasRead bool // something has been read
	linger  atomic.Bool
	idle    atomic.Bool
	counted atomic.Bool // in Port.open
	host    netip.Prefix
	closing sync.Once

	descriptor *descriptor // nil: it has TLS, or cannot be used without waiting

	polled bool   // it is known to an epoll, by fd
	fd     int    // its descriptor then
	turn   int32  // and its turn to have that
	peeked *peek  // what was read ahead, see [Peeks]; nil: nothing
	rest   []byte // of what was written without waiting
}

func (c *Conn) Read(p []byte) (int, error) {
	if c.peeked != nil {
		<-c.peeked.done
		return c.takePeeked(p)
	}
	return c.read(p)
}

// takePeeked returns what was read ahead.
func (c *Conn) takePeeked(p []byte) (int, error) {
	ahead := c.peeked
	c.peeked = nil
	return copy(p, ahead.got[:ahead.n]), ahead.err
}

// read reads from the connection, behind what was read ahead.
func (c *Conn) read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.hasRead {
		n, err = c.firstRead(p[:n], err)
	}
	if n > 0 {
		c.idle.Store(false)
	}
	return n, err
}

// firstRead examines the result of a connection's first Read, reports a client that does not
// speak the port's protocol, and returns what Read is to return.
func (c *Conn) firstRead(first []byte, err error) (int, error) {
	c.hasRead = true
	failed, isHandshake := errors.AsType[handshakeError](err)
	switch {
	case isHandshake:
		c.port.Report(c, handshakeFault(failed.error), failed.error)
		c.Linger() // so that the client reads the alert
		return 0, io.EOF
	case errors.Is(err, ErrPlain):
		c.port.Report(c, plainOnTLS, nil)
	case !c.OverTLS() && len(first) > 0 && first[0] == recordTypeHandshake:
		c.port.Report(c, tlsOnPlain, nil)
		return 0, ErrTLS
	}
	return len(first), err
}

// Host implements [Hosted].
func (c *Conn) Host() netip.Prefix { return c.host }

// OverTLS reports whether the connection is one to a listener with TLS.
func (c *Conn) OverTLS() bool {
	_, ok := c.Conn.(*tlsConn)
	return ok
}

// TLS returns the state of the connection after the handshake; ok is false without TLS.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	s, ok := c.Conn.(*tlsConn)
	if !ok {
		return state, false
	}
	return s.ConnectionState(), true
}

// Linger makes Close go on reading for a moment, so that a client which is still sending can
// read its answer.
func (c *Conn) Linger() { c.linger.Store(true) }

// SetIdle sets whether the connection is idle, waiting for a request. Reading anything
// ends that.
func (c *Conn) SetIdle(idle bool) { c.idle.Store(idle) }

// Idle reports whether the connection waits for a request.
func (c *Conn) Idle() bool { return c.idle.Load() }

// Admit marks the dialer as admitted: the connection is no longer pending.
func (c *Conn) Admit() { c.port.pending.Remove(c) }

// Close closes the connection.
func (c *Conn) Close() (err error) {
	c.closing.Do(func() {
		if c.linger.Load() {
			c.discardRest()
		}
		err = c.Conn.Close()
		c.port.conns.Delete(c)
		c.port.pending.Remove(c)
		c.uncount()
	})
	return err
}

// uncount frees the connection's slot under the limit; calling it again does nothing.
func (c *Conn) uncount() {
	if c.counted.CompareAndSwap(true, false) {
		c.port.open.Add(-1)
		c.port.hosts.remove(c.host)
		if c.OverTLS() {
			c.port.overTLS.Add(-1)
		}
	}
}

func (c *Conn) discardRest() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.Conn.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, rawConn(c.Conn), lingerBytes) // whatever ends it, the next step is to close
}
