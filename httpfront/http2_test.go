package httpfront_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/listen"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// takesHTTP2 takes the connections that are handed over.
type takesHTTP2 struct {
	conns chan net.Conn
	mu    sync.Mutex
	open  []net.Conn
	over  bool
}

func (h *takesHTTP2) Serve(c net.Conn) {
	h.mu.Lock()
	h.open = append(h.open, c)
	over := h.over
	h.mu.Unlock()
	if over {
		_ = c.Close()
	}
	h.conns <- c
}

func (h *takesHTTP2) Shutdown(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for _, c := range h.open {
		_ = c.Close()
	}
	return nil
}

// take returns the next connection.
func (h *takesHTTP2) take(t *testing.T) net.Conn {
	t.Helper()
	select {
	case c := <-h.conns:
		if err := c.SetDeadline(time.Now().Add(fronttest.Timeout)); err != nil {
			t.Fatal(err)
		}
		return c
	case <-time.After(fronttest.Timeout):
		t.Fatal("no connection was handed over")
		return nil
	}
}

// withHTTP2 has a server speak HTTP/2; with TLS it is offered, after HTTP/1.1.
func withHTTP2(h *takesHTTP2) func(*httpfront.Config) {
	h.conns = make(chan net.Conn, 100)
	return func(c *httpfront.Config) {
		c.HTTP2 = h
		if c.TLS != nil {
			c.TLS.NextProtos = []string{"http/1.1", "h2"}
		}
	}
}

// offering connects with TLS, if the server has it, and offers protocols there.
func offering(s *fronttest.Server, protocols ...string) *fronttest.Client {
	cfg := s.TLS
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.NextProtos = protocols
	}
	return s.DialAs(cfg)
}

func reads(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

// withAndWithoutPoller runs a test with the poller of this system and with that of all others.
func withAndWithoutPoller(t *testing.T, test func(t *testing.T)) {
	t.Run("with a poller", test)
	t.Run("without a poller", func(t *testing.T) {
		defer httpfront.UsePoller(listen.Peeks{})()
		test(t)
	})
}

// A connection that begins as HTTP/2 does is handed over as if nothing had been read, however its
// first bytes arrive. It counts at the port until it is closed.
func TestHTTP2(t *testing.T) {
	withAndWithoutPoller(t, func(t *testing.T) {
		for name, write := range arrivals {
			t.Run(name, func(t *testing.T) {
				h := &takesHTTP2{}
				s := serve(t, withHTTP2(h))
				c := s.Dial()
				sent := preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + strings.Repeat("x", 5000)
				if err := write(c.Conn, sent); err != nil {
					t.Fatal(err)
				}
				handed := h.take(t)
				reads(t, handed, sent)
				c.Send("more")
				reads(t, handed, "more")
				if _, err := io.WriteString(handed, "answer"); err != nil {
					t.Fatal(err)
				}
				reads(t, c.In, "answer")
				if n := s.Open(); n != 1 {
					t.Errorf("%d connections are counted, want 1", n)
				}
				if err := handed.Close(); err != nil {
					t.Fatal(err)
				}
				c.WantClosed()
				if n := s.Open(); n != 0 {
					t.Errorf("%d connections are counted after it was closed", n)
				}
				fronttest.Check(t, s.Dial().Get("/"), 200, "etcd v9")
			})
		}
	})
}

// With TLS the handshake decides: who offers HTTP/1.1 as well speaks that.
func TestHTTP2ByALPN(t *testing.T) {
	withAndWithoutPoller(t, func(t *testing.T) {
		h := &takesHTTP2{}
		s := serve(t, fronttest.WithTLS, withHTTP2(h))
		c := offering(s, "h2")
		c.Send("%s", preface)
		handed := h.take(t)
		reads(t, handed, preface)
		state, overTLS := handed.(interface {
			TLS() (tls.ConnectionState, bool)
		}).TLS()
		if !overTLS || state.NegotiatedProtocol != "h2" {
			t.Errorf("the state of TLS is %t, protocol %q", overTLS, state.NegotiatedProtocol)
		}
		for _, protocols := range [][]string{nil, {"http/1.1"}, {"h2", "http/1.1"}, {"http/1.1", "h2"}} {
			c := offering(s, protocols...)
			fronttest.Check(t, c.Get("/"), 200, "etcd v9")
			c = offering(s, protocols...) // what was negotiated holds
			c.Send("%s", preface)
			if r := c.Reply("GET"); r.Status < 400 {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			c.WantClosed()
		}
		select {
		case <-h.conns:
			t.Error("another connection was handed over")
		default:
		}
	})
}

// What begins like HTTP/2 and is something else is answered as it is by a server without HTTP/2, and
// so is HTTP/2 behind a request.
func TestAlmostHTTP2(t *testing.T) {
	withAndWithoutPoller(t, func(t *testing.T) {
		h := &takesHTTP2{}
		s, without := serve(t, withHTTP2(h)), serve(t)
		answer := func(s *fronttest.Server, write func(net.Conn, string) error, sent string) string {
			c := s.Dial()
			_ = write(c.Conn, sent) // it may be closed before all is written
			if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				return "closed"
			}
			status := ""
			for {
				r, err := fronttest.ReadReply(c.In, "GET")
				if err != nil {
					return status + "end"
				}
				status += r.Body + "\n"
			}
		}
		get := fronttest.RawRequest("GET", "/", "")
		for _, sent := range []string{
			"P", "PRI", preface[:18], preface[:23], "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI * HTTP/2.1\r\n\r\n", "PRI * HTTP/1.1\r\nHost: x\r\n\r\n",
			"PRIVATE", "\r\n" + preface, get + preface, "PRI / HTTP/1.1\r\nHost: x\r\n\r\n" + get, "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			for way, write := range arrivals {
				if got, want := answer(s, write, sent), answer(without, write, sent); got != want {
					t.Errorf("%q %s is answered with %q, want %q", sent, way, got, want)
				}
			}
		}
		if len(h.conns) > 0 {
			t.Errorf("%d connections were handed over", len(h.conns))
		}
	})
}

// A client that has sent half of its preface costs no goroutine, holds up nobody, and is told when
// its time is over; one that has begun is not cut off for being idle.
func TestSlowHTTP2(t *testing.T) {
	h := &takesHTTP2{}
	s := serve(t, withHTTP2(h), func(c *httpfront.Config) {
		c.HeaderTimeout, c.IdleTimeout = time.Second, time.Second
	})
	whole := s.Dial()
	whole.Send("%s", preface)
	handed := h.take(t)
	const many = 100
	before := runtime.NumGoroutine()
	clients := make([]*fronttest.Client, many)
	for i := range clients {
		clients[i] = s.Dial()
		clients[i].Send("%s", preface[:18])
	}
	s.Eventually("they are connected", func() bool { return s.Open() >= many+1 })
	if n := runtime.NumGoroutine(); n > before+many/2 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	for _, c := range clients {
		if r := c.Reply("GET"); r.Status != 408 || !strings.Contains(r.Body, "-header-timeout") {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		c.WantClosed()
	}
	whole.Send("later")
	reads(t, handed, preface+"later")
}

// Connections that were handed over count against the limit. One too many is refused before anybody looks
// at what it speaks.
func TestHTTP2OverTheLimit(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"clear": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			h := &takesHTTP2{}
			s := serve(t, mode, withHTTP2(h), func(c *httpfront.Config) { c.MaxConnections = 1 })
			first := offering(s, "h2")
			first.Send("%s", preface)
			handed := h.take(t)
			for _, protocol := range []string{"h2", "http/1.1"} {
				fronttest.Check(t, offering(s, protocol).Reply("GET"), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
			}
			s.Log.Take() // it says that the port is full
			if err := handed.Close(); err != nil {
				t.Fatal(err)
			}
			fronttest.Check(t, offering(s, "http/1.1").Get("/"), 200, "etcd v9")
		})
	}
}

// A stop of the server is one of whoever has its connections.
func TestStopOfHTTP2(t *testing.T) {
	h := &takesHTTP2{}
	s := serve(t, withHTTP2(h))
	c := s.Dial()
	c.Send("%s", preface)
	h.take(t)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	c.WantClosed()
	if n := s.Open(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}
