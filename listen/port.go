package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"etcd/endpoint"
)

// drainTimeout is how long a listener goes on accepting while it drains.
const drainTimeout = 20 * time.Millisecond

// Config is what a port needs.
type Config struct {
	// MaxConnections bounds open connections, and MaxPerHost those of one host; 0: that is no bound.
	MaxConnections, MaxPerHost int
	// MaxPending bounds those of them whose dialer has not been admitted yet; 0: they are
	// not counted. It is less than MaxConnections.
	MaxPending int
	// Peer marks the peer port: anybody but the other machines of the cluster who
	// connects, or a machine that speaks another protocol, is worth a warning.
	Peer bool
	// WriteRefusal writes the answer to a connection over a limit.
	WriteRefusal func(io.Writer, Refusal) error
	Log          *slog.Logger
}

// Refusal is why a connection is refused.
type Refusal string

// The limits of connections.
const (
	TooMany       Refusal = "too many connections"
	TooManyOfHost Refusal = "too many connections from this address; the limit is set by -max-connections-per-address"
)

// Port is the state that the connections to all addresses of one side of a machine share. It
// exists before its listeners.
type Port struct {
	cfg     Config
	log     *slog.Logger
	faults  *faultLog
	pending Room[*Conn]
	shaking Room[*Conn] // in a TLS handshake, see Conn.Handshake
	hosts   hosts
	open    atomic.Int64
	overTLS atomic.Int64 // of the open ones
	refused atomic.Int64
	conns   sync.Map // *Conn of each open connection

	mu        sync.Mutex
	listeners []*listener
}

// NewPort returns a port that does not listen yet.
func NewPort(cfg Config) *Port {
	return &Port{
		cfg: cfg, log: cfg.Log,
		faults: newFaultLog(cfg.Log, cfg.Peer), pending: Room[*Conn]{Limit: cfg.MaxPending},
		shaking: Room[*Conn]{Limit: maxShaking}, hosts: hosts{limit: cfg.MaxPerHost, open: make(map[netip.Prefix]int)},
	}
}

// Listen returns a listener that accepts the connections of l, each as a *Conn, with TLS if cfg is
// not nil.
func (p *Port) Listen(l net.Listener, cfg *tls.Config) net.Listener {
	wrapped := &listener{Listener: l, port: p, tls: cfg, closed: make(chan struct{}), refusing: make(chan struct{}, maxRefusing)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners = append(p.listeners, wrapped)
	return wrapped
}

// Open returns the number of open connections.
func (p *Port) Open() int64 { return p.open.Load() }

// OpenOverTLS returns how many of them have TLS.
func (p *Port) OpenOverTLS() int64 { return p.overTLS.Load() }

// Refused returns the number of connections that were refused or evicted because of a limit.
func (p *Port) Refused() int64 { return p.refused.Load() }

// Drain stops listening after it has accepted the connections that are still in the kernel's
// queue: the kernel would reset them.
func (p *Port) Drain() {
	p.mu.Lock()
	listeners := slices.Clone(p.listeners)
	p.mu.Unlock()
	var draining sync.WaitGroup
	for _, l := range listeners {
		draining.Go(l.drain)
	}
	draining.Wait()
}

// CloseIdle closes the connections on which no request is in flight.
func (p *Port) CloseIdle() {
	p.conns.Range(func(key, _ any) bool {
		if c := key.(*Conn); c.idle.Load() {
			_ = c.Close() // there is nobody to tell
		}
		return true
	})
}

// Report logs a client that does not speak the port's protocol; warnings are rate limited per
// fault and host.
func (p *Port) Report(c net.Conn, f Fault, err error) { p.faults.log(c, f, err) }

// listener returns Conns and refuses connections over the limit.
type listener struct {
	net.Listener
	port         *Port
	tls          *tls.Config // nil for none
	closing      sync.Once
	closed       chan struct{}
	swept        []net.Conn    // accepted just before closing
	exhaustedLog logLimiter    // logging that there are no descriptors
	limitLog     logLimiter    // logging that there are too many connections
	hostLog      logLimiter    // the same, of one host
	refusing     chan struct{} // holds one for each connection that is being told that it is over the limit
}

// Close may be called more than once: a stop closes the listener, and then fasthttp does.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		err = l.Listener.Close()
		close(l.closed)
	})
	return err
}

// socket is a listener of the system.
type socket interface {
	syscall.Conn
	SetDeadline(time.Time) error
}

// drain closes the listener once all queued connections were accepted.
func (l *listener) drain() {
	s, ok := l.Listener.(socket)
	if !ok || s.SetDeadline(time.Now().Add(drainTimeout)) != nil {
		_ = l.Close() // it may be closed already
	}
	<-l.closed
}

// accept returns the next connection: while draining, those that were swept.
func (l *listener) accept() (net.Conn, error) {
	if len(l.swept) > 0 {
		c := l.swept[0]
		l.swept = l.swept[1:]
		return c, nil
	}
	c, err := l.Listener.Accept()
	for isExhausted(err) {
		if !l.backOff(err) {
			return nil, net.ErrClosed
		}
		c, err = l.Listener.Accept()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if l.sweep(); len(l.swept) > 0 {
			return l.accept()
		}
		return nil, net.ErrClosed
	}
	return c, err
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		if l.port.open.Add(1) > int64(l.port.cfg.MaxConnections) {
			l.port.open.Add(-1)
			l.refuse(c, TooMany)
			continue
		}
		host := endpoint.HostOf(c.RemoteAddr())
		if !l.port.hosts.add(host) {
			l.port.open.Add(-1)
			l.refuse(c, TooManyOfHost)
			continue
		}
		wrapped := &Conn{Conn: l.wrap(c), port: l.port, host: host}
		if l.tls == nil {
			wrapped.descriptor = newDescriptor(c)
		} else {
			l.port.overTLS.Add(1)
		}
		wrapped.counted.Store(true)
		wrapped.idle.Store(true) // nothing was read
		l.port.conns.Store(wrapped, nil)
		if victim := l.port.pending.Add(wrapped); victim != nil {
			l.evict(victim)
		}
		return wrapped, nil
	}
}

// wrap puts TLS on a connection if this listener has it.
func (l *listener) wrap(c net.Conn) net.Conn {
	if l.tls == nil {
		return c
	}
	return newTLSConn(c, l.tls)
}
