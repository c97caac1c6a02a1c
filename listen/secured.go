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
	// handshakeTime bounds a TLS handshake.
	handshakeTime = 10 * time.Second
	// closeTime bounds sending a client the alert that its connection ends.
	closeTime = 50 * time.Millisecond
	// recordHandshake is the first byte of a TLS connection.
	recordHandshake = 0x16
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

// secured is a connection to a TLS port. Its first Read does the handshake, so that
// only the goroutine that serves the connection waits for it.
type secured struct {
	*tls.Conn
	raw   net.Conn
	done  bool        // the handshake; of the goroutine that reads
	plain atomic.Bool // the client does not speak TLS: it is answered in the clear
}

func secure(raw net.Conn, cfg *tls.Config) *secured {
	return &secured{Conn: tls.Server(raw, cfg), raw: raw}
}

// Read returns ErrPlain if the client begins with plain HTTP, and a handshakeError if the
// handshake fails otherwise.
func (s *secured) Read(p []byte) (int, error) {
	if !s.done {
		if err := s.shake(); err != nil {
			return 0, err
		}
	}
	return s.Conn.Read(p)
}

func (s *secured) shake() error {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
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
func (s *secured) Write(p []byte) (int, error) {
	if s.plain.Load() {
		return s.raw.Write(p)
	}
	return s.Conn.Write(p)
}

// CloseWrite closes the sending direction, however far the handshake has come.
func (s *secured) CloseWrite() error {
	defer s.bounded()()
	_ = s.Conn.CloseWrite() // without a handshake there is nothing to end
	half, ok := s.raw.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close closes the connection, after an alert if the client takes that at once.
func (s *secured) Close() error {
	defer s.bounded()()
	return s.Conn.Close()
}

// bounded cuts the connection after closeTime, unless the returned function is called before.
// crypto/tls gives a client that no longer reads five seconds for the alert, and a caller
// that closes many connections would wait for one after the other.
func (s *secured) bounded() (enough func()) {
	cut := time.AfterFunc(closeTime, func() { _ = s.raw.Close() }) // it may be closed already
	return func() { cut.Stop() }
}

// wire returns the connection below TLS, or c itself without TLS.
func wire(c net.Conn) net.Conn {
	if s, ok := c.(*secured); ok {
		return s.raw
	}
	return c
}
