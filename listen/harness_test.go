package listen

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of a test for something that must happen.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// records is a log that keeps warnings and errors.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *records) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.buf.String()
	r.buf.Reset()
	return s
}

// testPort greets each accepted connection, and waits until all have ended.
type testPort struct {
	*Port
	t       testing.TB
	log     *records
	stopped chan struct{} // closed when nothing is accepted any more
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func open(t testing.TB, l net.Listener, cfg Config, overTLS *tls.Config) *testPort {
	t.Helper()
	p := &testPort{t: t, log: &records{}, stopped: make(chan struct{})}
	cfg.Log = slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg.WriteRefusal = func(to io.Writer, why Refusal) error {
		text := "too many"
		if why == TooManyOfHost {
			text = "too many from there"
		}
		_, err := io.WriteString(to, text)
		return err
	}
	p.Port = NewPort(cfg)
	listener := p.Listen(l, overTLS)
	var conns sync.WaitGroup
	go func() {
		defer close(p.stopped)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.(*Conn).SetIdle(true)
			conns.Go(func() {
				_, _ = io.WriteString(c, "hello")
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			})
		}
	}()
	t.Cleanup(func() {
		p.Drain()
		<-p.stopped
		p.CloseIdle()
		conns.Wait()
		if n, overTLS := p.Open(), p.OpenOverTLS(); n != 0 || overTLS != 0 {
			t.Errorf("%d connections are still counted, and %d of TLS", n, overTLS)
		}
	})
	return p
}

func (p *testPort) dial(l net.Listener) net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (p *testPort) reads(c net.Conn, want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		p.t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

// greeted dials, and reads the greeting.
func (p *testPort) greeted(l net.Listener) net.Conn {
	p.t.Helper()
	c := p.dial(l)
	p.reads(c, "hello")
	return c
}
