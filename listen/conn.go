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

// lingerTime and lingerBytes bound how much of a refused request is read and discarded, so
// that the client reads the answer instead of seeing its connection reset.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 20
)

// Conn is a connection to a port. Its first Read does the handshake if the port has TLS, and
// checks whether the client speaks the port's protocol: if not, it returns ErrPlain or ErrTLS,
// and the client can still be answered.
type Conn struct {
	net.Conn
	port    *Port
	greeted bool // something has been read
	linger  atomic.Bool
	quiet   atomic.Bool
	counted atomic.Bool // in Port.open
	host    netip.Prefix
	closing sync.Once
}

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.greeted {
		n, err = c.firstRead(p[:n], err)
	}
	if n > 0 {
		c.quiet.Store(false)
	}
	return n, err
}

// firstRead examines the result of a connection's first Read, reports a client that does not
// speak the port's protocol, and returns what Read is to return.
func (c *Conn) firstRead(first []byte, err error) (int, error) {
	c.greeted = true
	failed, isHandshake := errors.AsType[handshakeError](err)
	_, isSecured := c.Conn.(*secured)
	switch {
	case isHandshake:
		c.port.Report(c, handshakeFault(failed.error), failed.error)
		c.Linger() // so that the client reads the alert
		return 0, io.EOF
	case errors.Is(err, ErrPlain):
		c.port.Report(c, plainOnTLS, nil)
	case !isSecured && len(first) > 0 && first[0] == recordHandshake:
		c.port.Report(c, tlsOnPlain, nil)
		return 0, ErrTLS
	}
	return len(first), err
}

// TLS returns the state of the connection after the handshake; ok is false without TLS.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	s, ok := c.Conn.(*secured)
	if !ok {
		return state, false
	}
	return s.ConnectionState(), true
}

// Linger makes Close go on reading for a moment, so that a client which is still sending can
// read its answer.
func (c *Conn) Linger() { c.linger.Store(true) }

// SetQuiet sets whether the connection is idle, waiting for a request. Reading anything
// ends that.
func (c *Conn) SetQuiet(quiet bool) { c.quiet.Store(quiet) }

// LetIn marks the dialer as admitted: the connection is no newcomer any more.
func (c *Conn) LetIn() { c.port.newcomers.remove(c) }

// Close closes the connection.
func (c *Conn) Close() (err error) {
	c.closing.Do(func() {
		if c.linger.Load() {
			c.drainRefused()
		}
		err = c.Conn.Close()
		c.port.conns.Delete(c)
		c.port.newcomers.remove(c)
		c.uncount()
	})
	return err
}

// uncount frees the connection's slot under the limit; calling it again does nothing.
func (c *Conn) uncount() {
	if c.counted.CompareAndSwap(true, false) {
		c.port.open.Add(-1)
	}
}

func (c *Conn) drainRefused() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, wire(c.Conn), lingerBytes) // whatever ends it, the next step is to close
}
