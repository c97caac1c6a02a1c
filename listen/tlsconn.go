package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

const (
	// handshakeTimeout bounds a TLS handshake.
	handshakeTimeout = 10 * time.Second
	// maxShaking bounds the handshakes that are under way at a port where they have a goroutine of
	// their own, with about 20 KiB.
	maxShaking = 512
	// closeTimeout bounds sending a client the alert that its connection ends.
	closeTimeout = 50 * time.Millisecond
	// recordTypeHandshake is the first byte of a TLS connection.
	recordTypeHandshake = 0x16
)

var (
	// ErrPlain is a client that speaks plain HTTP at a port with TLS: it can read an answer in
	// the clear.
	ErrPlain = errors.New("listen: no TLS on a TLS port")
	// ErrTLS is a TLS handshake at a port that has none.
	ErrTLS = errors.New("listen: TLS on a plain port")
)

// handshakeError is a TLS handshake that failed. Its client cannot be answered.
type handshakeError struct{ error }

// tlsConn is a connection to a TLS port. Its first Read does the handshake, so that
// only the goroutine that serves the connection waits for it.
type tlsConn struct {
	*tls.Conn
	raw   net.Conn
	below *nonblocking // between TLS and raw
	done  bool         // the handshake; of the goroutine that reads
	plain atomic.Bool  // the client does not speak TLS: it is answered in the clear
}

func newTLSConn(raw net.Conn, cfg *tls.Config) *tlsConn {
	below := &nonblocking{Conn: raw, descriptor: newDescriptor(raw)}
	return &tlsConn{Conn: tls.Server(below, cfg), raw: raw, below: below}
}

// Read returns ErrPlain if the client begins with plain HTTP, and a handshakeError if the
// handshake fails otherwise.
func (s *tlsConn) Read(p []byte) (int, error) {
	if !s.done {
		if err := s.handshake(); err != nil {
			return 0, err
		}
	}
	return s.Conn.Read(p)
}

// Handshake does the handshake of a connection over TLS on which nothing was read, and returns what
// Read would. Of too many handshakes, one is given up.
func (c *Conn) Handshake() error {
	s := c.Conn.(*tlsConn)
	if victim := c.port.shaking.Add(c); victim != nil {
		c.port.refused.Add(1)
		_ = rawConn(victim.Conn).Close() // so its handshake fails
	}
	err := s.handshake()
	c.port.shaking.Remove(c)
	if err != nil {
		_, err = c.firstRead(nil, err)
	}
	return err
}

func (s *tlsConn) handshake() error {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	err := s.HandshakeContext(ctx)
	s.done = err == nil
	switch header, ok := errors.AsType[tls.RecordHeaderError](err); {
	case ok && header.Conn != nil && beginsHTTP(header.RecordHeader[:]):
		s.plain.Store(true)
		return ErrPlain
	case err != nil:
		return handshakeError{err}
	}
	return nil
}

// beginsHTTP reports whether the bytes look like an HTTP method rather than a binary
// protocol.
func beginsHTTP(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// Write encrypts p, except for a client that speaks plain HTTP.
func (s *tlsConn) Write(p []byte) (int, error) {
	if s.plain.Load() {
		return s.raw.Write(p)
	}
	return s.Conn.Write(p)
}

// CloseWrite closes the sending direction, however far the handshake has come.
func (s *tlsConn) CloseWrite() error {
	defer s.boundClose()()
	_ = s.Conn.CloseWrite() // without a handshake there is nothing to end
	half, ok := s.raw.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close closes the connection, after an alert if the client takes that at once.
func (s *tlsConn) Close() error {
	defer s.boundClose()()
	return s.Conn.Close()
}

// boundClose cuts the connection after closeTimeout, unless the returned function is called before.
// crypto/tls gives a client that no longer reads five seconds for the alert, and a caller
// that closes many connections would wait for one after the other.
func (s *tlsConn) boundClose() (stop func()) {
	cut := time.AfterFunc(closeTimeout, func() { _ = s.raw.Close() }) // it may be closed already
	return func() { cut.Stop() }
}

// rawConn returns the connection below TLS, or c itself without TLS.
func rawConn(c net.Conn) net.Conn {
	if s, ok := c.(*tlsConn); ok {
		return s.raw
	}
	return c
}
