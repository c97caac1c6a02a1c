package listen

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"etcd/endpoint"
)

// Of those who speak to the port for machines in a way that cannot work, so many are
// remembered for so long, and warned about only once.
const (
	maxStrangers   = 64
	strangersAgain = 10 * time.Minute
)

// Fault is a way of speaking that cannot work.
type Fault struct {
	What string
	Hint string // what to do, if it was another machine
}

const allOrNone = "; all machines of a cluster need -serverCert and -serverKey, and certificates of the same CA with -serverCAFile, or none of them"

var (
	handshakeFailed    = Fault{"TLS handshake failed", allOrNone}
	plainOnTLS         = Fault{"plain HTTP on a port that speaks only TLS", allOrNone}
	tlsOnPlain         = Fault{"a TLS handshake on a port that speaks plain HTTP", allOrNone}
	revokedCertificate = Fault{"refused a certificate that is revoked", ""}
)

// handshakeFault is what is wrong with a handshake.
func handshakeFault(err error) Fault {
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

func (s *strangers) log(c net.Conn, f Fault, err error) {
	level, what := slog.LevelDebug, f.What
	if (s.peers || f == revokedCertificate) && !wentAway(err) && s.first(f, c.RemoteAddr()) {
		level = slog.LevelWarn
		what += f.Hint
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
	ends := append([]error{io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, net.ErrClosed}, resetErrors...)
	return slices.ContainsFunc(ends, func(target error) bool { return errors.Is(err, target) })
}

// first says whether a host was not warned about for the same fault lately.
func (s *strangers) first(f Fault, addr net.Addr) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, at := range s.warned {
		if now.Sub(at) >= strangersAgain {
			delete(s.warned, key)
		}
	}
	key := f.What + " " + endpoint.HostOf(addr).String()
	if _, ok := s.warned[key]; ok || len(s.warned) >= maxStrangers {
		return false
	}
	s.warned[key] = now
	return true
}
