package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// drainTime is how long a listener goes on accepting at a stop.
const drainTime = 20 * time.Millisecond

// Config is what a port needs.
type Config struct {
	// MaxConnections bounds open connections.
	MaxConnections int
	// MaxNewcomers bounds those of them over which nobody was let in yet; 0: they are not
	// counted. It is less than MaxConnections.
	MaxNewcomers int
	// TLS is the configuration of the port; nil for none.
	TLS *tls.Config
	// Machines says that the port is for the other machines of the cluster: whoever else
	// comes, or comes in another way, is worth a warning.
	Machines bool
	// Crowded writes what a connection is told that is one too many.
	Crowded func(io.Writer) error
	Log     *slog.Logger
}

// Port is what all connections to one address have in common. It is there before the
// listener, and there is one of these at most.
type Port struct {
	cfg       Config
	log       *slog.Logger
	strangers *strangers
	newcomers newcomers
	listener  atomic.Pointer[listener]
	open      atomic.Int64
	refused   atomic.Int64
	conns     sync.Map // *Conn of all that are open
}

// NewPort makes a port that listens nowhere yet.
func NewPort(cfg Config) *Port {
	return &Port{
		cfg: cfg, log: cfg.Log,
		strangers: newStrangers(cfg.Log, cfg.Machines), newcomers: newcomers{limit: cfg.MaxNewcomers},
	}
}

// Listen returns a listener that accepts the connections which come to l, each as a *Conn.
func (p *Port) Listen(l net.Listener) net.Listener {
	wrapped := &listener{Listener: l, port: p, closed: make(chan struct{}), telling: make(chan struct{}, maxTelling)}
	p.listener.Store(wrapped)
	return wrapped
}

// Open is how many connections are open.
func (p *Port) Open() int64 { return p.open.Load() }

// Refused is how many connections were one too many.
func (p *Port) Refused() int64 { return p.refused.Load() }

// Drain stops listening, after it has taken those who are connected already and wait to be
// accepted: the kernel would reset them.
func (p *Port) Drain() {
	if l := p.listener.Load(); l != nil {
		l.drain()
	}
}

// CloseQuiet closes the connections on which no request is under way.
func (p *Port) CloseQuiet() {
	p.conns.Range(func(key, _ any) bool {
		if c := key.(*Conn); c.quiet.Load() {
			_ = c.Close() // there is nobody to tell
		}
		return true
	})
}

// Report logs somebody who speaks in a way that cannot work, at most once in a while for a
// fault and a host.
func (p *Port) Report(c net.Conn, f Fault, err error) { p.strangers.log(c, f, err) }

// listener hands out Conns and refuses those over the limit.
type listener struct {
	net.Listener
	port    *Port
	closing sync.Once
	closed  chan struct{}
	swept   []net.Conn    // accepted at the very end
	scarce  seldom        // logging that there are no descriptors
	crowded seldom        // logging that there are too many connections
	telling chan struct{} // holds one for each connection that is being told that it is one too many
}

// Close may be called again: a stop closes the listener first, and fasthttp does too.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		err = l.Listener.Close()
		close(l.closed)
	})
	return err
}

// drain closes the listener when everybody who waits was accepted.
func (l *listener) drain() {
	tcp, ok := l.Listener.(*net.TCPListener)
	if !ok || tcp.SetDeadline(time.Now().Add(drainTime)) != nil {
		_ = l.Close() // it may be closed already
	}
	<-l.closed
}

// accept returns the next connection. At a stop these are the ones that were swept.
func (l *listener) accept() (net.Conn, error) {
	if len(l.swept) > 0 {
		c := l.swept[0]
		l.swept = l.swept[1:]
		return c, nil
	}
	c, err := l.Listener.Accept()
	for isScarce(err) {
		if !l.waitForRoom(err) {
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
			l.refuse(c)
			continue
		}
		wrapped := &Conn{Conn: l.dress(c), port: l.port}
		wrapped.counted.Store(true)
		l.port.conns.Store(wrapped, nil)
		if surplus := l.port.newcomers.add(wrapped); surplus != nil {
			l.dismiss(surplus)
		}
		return wrapped, nil
	}
}

// dress puts TLS on a connection if this port has it.
func (l *listener) dress(c net.Conn) net.Conn {
	if l.port.cfg.TLS == nil {
		return c
	}
	return secure(c, l.port.cfg.TLS)
}
