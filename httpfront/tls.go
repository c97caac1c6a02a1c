package httpfront

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"etcd/transport"
)

const (
	// handshakeTime bounds a TLS handshake.
	handshakeTime = 10 * time.Second
	// closeTime bounds saying to a client that its connection ends.
	closeTime = 50 * time.Millisecond
	// recordHandshake is the first byte of a TLS connection.
	recordHandshake = 0x16

	// Of the machines that speak to the peer port in a way that cannot work, so many
	// are remembered for so long, and warned about only once.
	maxStrangers   = 64
	strangersAgain = 10 * time.Minute
)

var (
	// errPlain is a request without TLS on a port that has TLS.
	errPlain = errors.New("httpfront: plain HTTP on a TLS port")
	// errTLS is a TLS handshake on a port that has none.
	errTLS = errors.New("httpfront: TLS on a plain HTTP port")
)

// handshakeError is a TLS handshake that failed. Nothing can be said to its client.
type handshakeError struct{ error }

// secured is a connection to a TLS port. Its first Read does the handshake, so that
// this is up to the goroutine that serves the connection, and nobody else waits.
type secured struct {
	*tls.Conn
	raw   net.Conn
	done  bool        // the handshake; of the goroutine that reads
	plain atomic.Bool // the client does not speak TLS: it is answered as it asked
}

func secure(raw net.Conn, cfg *tls.Config) *secured {
	return &secured{Conn: tls.Server(raw, cfg), raw: raw}
}

// Read returns errPlain if the client begins with HTTP, and a handshakeError if it
// does not come to terms with this machine.
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
		return errPlain
	case err != nil:
		return handshakeError{err}
	}
	return nil
}

// beginsHTTP says whether the bytes look like a method and not like a protocol that is
// not text.
func beginsHTTP(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// Write writes what the client can read.
func (s *secured) Write(p []byte) (int, error) {
	if s.plain.Load() {
		return s.raw.Write(p)
	}
	return s.Conn.Write(p)
}

// CloseWrite ends what this side says, however far the handshake has come.
func (s *secured) CloseWrite() error {
	defer s.bounded()()
	_ = s.Conn.CloseWrite() // without a handshake there is nothing to end
	half, ok := s.raw.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close says that it ends the connection, if the client takes that at once.
func (s *secured) Close() error {
	defer s.bounded()()
	return s.Conn.Close()
}

// bounded cuts the connection in a while, unless what it returns is called before.
// crypto/tls gives a client that takes nothing any more five seconds for the alert, and
// whoever closes many connections would wait for one after the other.
func (s *secured) bounded() (enough func()) {
	cut := time.AfterFunc(closeTime, func() { _ = s.raw.Close() }) // it may be closed already
	return func() { cut.Stop() }
}

// wire is the connection below TLS, if there is TLS.
func wire(c net.Conn) net.Conn {
	if s, ok := c.(*secured); ok {
		return s.raw
	}
	return c
}

// firstRead looks at what the first Read of a connection has brought, and puts into
// words what is wrong with it.
func (c *conn) firstRead(first []byte, err error) (int, error) {
	c.greeted = true
	failed, isHandshake := errors.AsType[handshakeError](err)
	_, isSecured := c.Conn.(*secured)
	switch {
	case isHandshake:
		c.server.strangers.log(c, handshakeFault(failed.error), failed.error)
		c.linger.Store(true) // so that the client reads the alert
		return 0, io.EOF
	case errors.Is(err, errPlain):
		c.server.strangers.log(c, plainOnTLS, nil)
	case !isSecured && len(first) > 0 && first[0] == recordHandshake:
		c.server.strangers.log(c, tlsOnPlain, nil)
		return 0, errTLS
	}
	return len(first), err
}

// fault is a way of speaking that cannot work.
type fault struct {
	what string
	hint string // what to do, if it was another machine
}

const allOrNone = "; all machines of a cluster need -serverCert and -serverKey, and certificates of the same CA with -serverCAFile, or none of them"

var (
	handshakeFailed    = fault{"TLS handshake failed", allOrNone}
	plainOnTLS         = fault{"plain HTTP on a port that speaks only TLS", allOrNone}
	tlsOnPlain         = fault{"a TLS handshake on a port that speaks plain HTTP", allOrNone}
	refusedScheme      = fault{"refused a machine that wants to join", "; start it like the machines of this cluster, with -serverCert and -serverKey or without"}
	refusedCertificate = fault{"refused a machine for its certificate", ""} // the error says what to do
	revokedCertificate = fault{"refused a certificate that is revoked", ""}
)

// handshakeFault is what is wrong with a handshake.
func handshakeFault(err error) fault {
	if _, ok := errors.AsType[interface {
		error
		Revoked() time.Time
	}](err); ok {
		return revokedCertificate
	}
	return handshakeFailed
}

// strangers logs those who speak in a way that cannot work, and does not let them fill
// the log: clients are logged at level debug, other machines, and who uses a certificate that
// is revoked, at level warn once.
type strangers struct {
	logger *slog.Logger
	peers  bool

	mu     sync.Mutex
	warned map[string]time.Time // by what and host
}

func newStrangers(log *slog.Logger, peers bool) *strangers {
	return &strangers{logger: log, peers: peers, warned: make(map[string]time.Time)}
}

func (s *strangers) log(c net.Conn, f fault, err error) {
	level, what := slog.LevelDebug, f.what
	if (s.peers || f == revokedCertificate) && !wentAway(err) && s.first(f, c.RemoteAddr()) {
		level = slog.LevelWarn
		what += f.hint
	}
	args := []any{"from", c.RemoteAddr().String()}
	if err != nil {
		args = append(args, "error", err)
	}
	s.logger.Log(context.Background(), level, what, args...)
}

// wentAway says whether a handshake ended without either side being wrong: somebody
// looked whether the port is open, gave up dialling, or this machine stops.
func wentAway(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, context.DeadlineExceeded, net.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// wantTLS tells a stranger what to do.
func (s *strangers) wantTLS() string {
	if s.peers {
		return "this port speaks only TLS; the machines of this cluster are started with -serverCert and -serverKey"
	}
	return "this port speaks only TLS; ask with https://"
}

// first says whether a host was not warned about for the same fault lately.
func (s *strangers) first(f fault, addr net.Addr) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, at := range s.warned {
		if now.Sub(at) >= strangersAgain {
			delete(s.warned, key)
		}
	}
	key := f.what + " " + transport.HostOf(addr).String()
	if _, ok := s.warned[key]; ok || len(s.warned) >= maxStrangers {
		return false
	}
	s.warned[key] = now
	return true
}
