package listen

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Of many connections over the limit a few are told so, however long they take, and the
// others are closed at once: few of them hold a descriptor that is not counted.
func TestManyOverTheLimit(t *testing.T) {
	for name, cfg := range map[string]*tls.Config{
		"plain": nil,
		"tls":   {Certificates: []tls.Certificate{testCA().Issue("server").TLS()}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &stuckListener{Listener: loopback(t), release: make(chan struct{})}
			p := open(t, l, Config{MaxConnections: 1}, cfg)
			defer close(l.release)
			in := p.dial(l)
			if cfg != nil {
				in = tls.Client(in, &tls.Config{RootCAs: testCA().Pool(), ServerName: "127.0.0.1"})
			}
			p.reads(in, "hello")
			const many = 5 * maxRefusing
			for range many {
				p.dial(l)
			}
			for deadline := time.Now().Add(patience); p.Refused() < many; runtime.Gosched() {
				if time.Now().After(deadline) {
					t.Fatalf("%d are refused, want %d", p.Refused(), many)
				}
			}
			// Besides the one that is served and those that are told, one may be accepted
			// and not checked yet.
			if most := l.most.Load(); most > 1+maxRefusing+1 {
				t.Errorf("%d connections were held at a time", most)
			}
		})
	}
}

// Without TLS everybody over the limit is told, however many there are.
func TestAllOverTheLimit(t *testing.T) {
	l := loopback(t)
	p := open(t, l, Config{MaxConnections: 1}, nil)
	p.greeted(l)
	conns := make([]net.Conn, 3*maxRefusing)
	for i := range conns {
		conns[i] = p.dial(l)
	}
	for _, c := range conns {
		if told, err := io.ReadAll(c); err != nil || string(told) != "too many" {
			t.Errorf("told %q, %v", told, err)
		}
	}
}

// stuckListener counts the connections that are open at the server. All but the first are
// stuck: writes to them block.
type stuckListener struct {
	net.Listener
	release    chan struct{}
	accepted   int // of the goroutine that accepts
	open, most atomic.Int64
}

func (l *stuckListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted++
	l.most.Store(max(l.most.Load(), l.open.Add(1)))
	return &stuckConn{TCPConn: c.(*net.TCPConn), listener: l, stuck: l.accepted > 1}, nil
}

type stuckConn struct {
	*net.TCPConn
	listener *stuckListener
	stuck    bool
	hurry    bool // a write deadline is set, as for clients that are not waited for
	closed   sync.Once
}

func (c *stuckConn) SetWriteDeadline(t time.Time) error {
	c.hurry = true
	return c.TCPConn.SetWriteDeadline(t)
}

func (c *stuckConn) Write(p []byte) (int, error) {
	switch {
	case c.stuck && c.hurry:
		return 0, os.ErrDeadlineExceeded
	case c.stuck:
		<-c.listener.release
	}
	return c.TCPConn.Write(p)
}

func (c *stuckConn) Close() error {
	c.closed.Do(func() { c.listener.open.Add(-1) })
	return c.TCPConn.Close()
}
