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

// Clients that do not speak the protocol of the peer port are warned about once:
// maxWarned faults of hosts are remembered, each for warnInterval.
const (
	maxWarned    = 64
	warnInterval = 10 * time.Minute
)

// Fault is why a client and the port cannot talk to each other.
type Fault struct {
	What string
	Hint string // what to do if the client is a peer
}

const tlsHint = "; all machines of a cluster need -serverCert and -serverKey, and certificates of the same CA with -serverCAFile, or none of them"

var (
	handshakeFailed    = Fault{"TLS handshake failed", tlsHint}
	plainOnTLS         = Fault{"plain HTTP on a port that speaks only TLS", tlsHint}
	tlsOnPlain         = Fault{"a TLS handshake on a port that speaks plain HTTP", tlsHint}
	revokedCertificate = Fault{"refused a certificate that is revoked", ""}
)

// handshakeFault returns the fault that made a handshake fail.
func handshakeFault(err error) Fault {
	if _, ok := errors.AsType[interface {
		error
		Revoked() time.Time
	}](err); ok {
		return revokedCertificate
	}
	return handshakeFailed
}

// faultLog logs clients that do not speak the port's protocol, and does not let them fill
// the log: they are logged at level debug; at the peer port, or with a revoked
// certificate, once at level warn.
type faultLog struct {
	logger *slog.Logger
	peer   bool

	mu     sync.Mutex
	warned map[string]time.Time // by fault and host
}

func newFaultLog(log *slog.Logger, peers bool) *faultLog {
	return &faultLog{logger: log, peer: peers, warned: make(map[string]time.Time)}
}

func (s *faultLog) log(c net.Conn, f Fault, err error) {
	level, what := slog.LevelDebug, f.What
	if (s.peer || f == revokedCertificate) && !isDisconnect(err) && s.shouldWarn(f, c.RemoteAddr()) {
		level = slog.LevelWarn
		what += f.Hint
	}
	args := []any{"from", c.RemoteAddr().String()}
	if err != nil {
		args = append(args, "error", err)
	}
	s.logger.Log(context.Background(), level, what, args...)
}

// isDisconnect reports whether a handshake ended without a fault of either side: a probe
// of the port, a dialer that gave up, or this machine stopping.
func isDisconnect(err error) bool {
	ends := append([]error{io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, net.ErrClosed}, resetErrors...)
	return slices.ContainsFunc(ends, func(target error) bool { return errors.Is(err, target) })
}

// shouldWarn reports whether to warn about a host: not again for the same fault within
// warnInterval, and not while maxWarned are remembered.
func (s *faultLog) shouldWarn(f Fault, addr net.Addr) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, at := range s.warned {
		if now.Sub(at) >= warnInterval {
			delete(s.warned, key)
		}
	}
	key := f.What + " " + endpoint.HostOf(addr).String()
	if _, ok := s.warned[key]; ok || len(s.warned) >= maxWarned {
		return false
	}
	s.warned[key] = now
	return true
}
