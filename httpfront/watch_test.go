package httpfront_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// The connection of a watch is kept alive after its answer, and the requests that its client
// has sent after the watch, at once or while it was waiting, are answered in order.
func TestWatchGivesTheConnectionBack(t *testing.T) { inAllModes(t, testWatchGivesTheConnectionBack) }

func testWatchGivesTheConnectionBack(t *testing.T, serve server) {
	many := slices.Repeat([]string{"/"}, httpfront.MaxReadAhead/len(fronttest.RawRequest("GET", "/", "")))
	for _, test := range []struct {
		name          string
		behind, later []string
	}{
		{"nothing behind", nil, nil},
		{"behind", []string{"/", "/v1/keys/a"}, nil},
		{"later", nil, []string{"/", "/v1/keys/a"}},
		{"both", []string{"/v1/keys/a"}, []string{"/", "/v1/keys/a"}},
		{"a lot behind", many, nil},
		{"a lot later", nil, many},
		{"another watch behind", []string{"/v1/watch/a?quorum=false"}, []string{"/"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			writer := s.Dial()
			c := s.Dial()
			join := func(targets []string) (all string) {
				for _, target := range targets {
					all += fronttest.RawRequest("GET", target, "")
				}
				return all
			}
			c.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", "")+join(test.behind))
			s.WaitForWatchers(1)
			if len(test.later) > 0 {
				c.Send("%s", join(test.later))
			}
			want := writer.Set("/a", "value=1")
			fronttest.Check(t, c.Reply("GET"), 200, want)
			for _, target := range append(test.behind, test.later...) {
				switch {
				case target == "/":
					fronttest.Check(t, c.Reply("GET"), 200, "etcd v9")
				case strings.HasPrefix(target, "/v1/keys"):
					fronttest.Check(t, c.Reply("GET"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
				default:
					s.WaitForWatchers(1)
					want = writer.Set("/a", "value=2")
					fronttest.Check(t, c.Reply("GET"), 200, want)
				}
			}
			fronttest.Check(t, c.Get("/"), 200, "etcd v9")
			s.WaitForWatchers(0)
		})
	}
}

// A client that sends more after its watch than can be kept gets an error, and its
// connection is closed and its watcher removed: the server could not notice that it has gone.
func TestTooMuchBehindAWatch(t *testing.T) { inAllModes(t, testTooMuchBehindAWatch) }

func testTooMuchBehindAWatch(t *testing.T, serve server) {
	s := serve(t)
	watching, much := fronttest.RawRequest("GET", "/v1/watch/a", ""), strings.Repeat("x", httpfront.MaxReadAhead+1)
	for _, later := range []bool{false, true} {
		c := s.Dial()
		if later {
			c.Send("%s", watching)
			s.WaitForWatchers(1)
			c.Send("%s", much)
		} else {
			c.Send("%s", watching+much)
		}
		r := c.Reply("GET")
		fronttest.Check(t, r, 400, `{"errorCode":400,"message":"Bad Request","cause":"more than 4096 bytes sent behind a waiting watch"}`)
		if !r.Close {
			t.Error("the answer does not say that the connection ends")
		}
		c.WantClosed()
	}
	for range 20 {
		c := s.Dial()
		c.Send("%s", watching+strings.Repeat("x", 5000))
		_ = c.Close()
	}
	s.Eventually("all are gone", func() bool { return s.Open() == 1 && s.Machine.Watchers() == 0 })
}

// A watch whose event is there already, many times on one connection: the answer may
// come before, during and after the hijack of the connection.
func TestWatchHistoryOverAndOver(t *testing.T) { inAllModes(t, testWatchHistoryOverAndOver) }

func testWatchHistoryOverAndOver(t *testing.T, serve server) {
	s := serve(t)
	c := s.Dial()
	want := c.Set("/a", "value=1")
	for range 500 {
		fronttest.Check(t, c.Do("POST", "/v1/watch/a", "index=3"), 200, want)
	}
	for range 500 {
		c.Send("%s", fronttest.RawRequest("POST", "/v1/watch/a", "index=3")+fronttest.RawRequest("GET", "/", ""))
		fronttest.Check(t, c.Reply("POST"), 200, want)
		fronttest.Check(t, c.Reply("GET"), 200, "etcd v9")
	}
}

func TestWatchFrom(t *testing.T) { inAllModes(t, testWatchFrom) }

func testWatchFrom(t *testing.T, serve server) {
	s := serve(t)
	c, writer := s.Dial(), s.Dial()
	writer.Set("/a/b", "value=1")
	want := writer.Set("/a/b", "value=2")
	fronttest.Check(t, c.Do("POST", "/v1/watch/a?index=4", ""), 200, want)
	fronttest.Check(t, c.Get("/v1/watch/a?index=4"), 200, want)
	fronttest.Check(t, c.Do("GET", "/v1/watch/a", "index=4"), 200, want)
	c.Send("%s", fronttest.RawRequest("POST", "/v1/watch/", "index=7")) // to come
	s.WaitForWatchers(1)
	writer.Set("/a/b", "value=3")
	writer.Set("/ab", "value=4")
	want = writer.Set("/c", "value=5")
	fronttest.Check(t, c.Reply("POST"), 200, want)
	c.Send("%s", fronttest.RawRequest("POST", "/v1/watch/a", "index=0")) // as if without
	s.WaitForWatchers(1)
	writer.Set("/ab", "value=6")
	want = writer.Set("/a/_hidden", "value=7")
	fronttest.Check(t, c.Reply("POST"), 200, want)
	for range 1001 {
		writer.Set("/a/b", "value=1")
	}
	r := c.Do("POST", "/v1/watch/a", "index=3")
	if r.Status != 400 || !strings.Contains(r.Body, `"errorCode":401,`) {
		t.Errorf("watch of a cleared index: %d %s", r.Status, r.Body)
	}
}

// An event reaches a watcher that has asked for the connection to be closed, and one that
// speaks HTTP/1.0; then the connection is closed.
func TestWatchThenClose(t *testing.T) { inAllModes(t, testWatchThenClose) }

func testWatchThenClose(t *testing.T, serve server) {
	s := serve(t)
	writer := s.Dial()
	for i, head := range []string{
		"GET /v1/watch/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /v1/watch/a HTTP/1.0\r\n\r\n",
	} {
		c := s.Dial()
		c.Send("%s", head)
		s.WaitForWatchers(1)
		want := writer.Set("/a", fmt.Sprintf("value=%d", i))
		r := c.Reply("GET")
		fronttest.Check(t, r, 200, want)
		if !r.Close {
			t.Error("the answer does not say that the connection ends")
		}
		c.WantClosed()
	}
}

// When a client goes, however it goes, its watcher is removed.
func TestWatcherLeaves(t *testing.T) { inAllModes(t, testWatcherLeaves) }

func testWatcherLeaves(t *testing.T, serve server) {
	s := serve(t)
	for name, leave := range map[string]func(c net.Conn, tcp *net.TCPConn) error{
		"close": func(c net.Conn, _ *net.TCPConn) error { return c.Close() },
		"shut":  func(c net.Conn, _ *net.TCPConn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
		"cut":   func(_ net.Conn, tcp *net.TCPConn) error { return tcp.Close() }, // over TLS: without close_notify
		"reset": func(_ net.Conn, tcp *net.TCPConn) error { return errors.Join(tcp.SetLinger(0), tcp.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Dial()
			c.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", "")+fronttest.RawRequest("GET", "/", ""))
			s.WaitForWatchers(1)
			tcp := c.Conn
			if secured, ok := tcp.(*tls.Conn); ok {
				tcp = secured.NetConn()
			}
			if err := leave(c.Conn, tcp.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			s.WaitForWatchers(0)
		})
	}
	s.Dial().Set("/a", "value=1") // delivers to nobody
	s.Eventually("all connections are given up", func() bool { return s.Open() == 2 })
}

// At a stop every watcher gets an error that says so, and its connection is closed.
func TestShutdownAnswersWatches(t *testing.T) { inAllModes(t, testShutdownAnswersWatches) }

func testShutdownAnswersWatches(t *testing.T, serve server) {
	s := serve(t)
	idle := s.Dial()
	idle.Get("/")
	var watching []*fronttest.Client
	for i := range 10 {
		c := s.Dial()
		c.Send("%s", fronttest.RawRequest("GET", fmt.Sprintf("/v1/watch/%d", i), ""))
		watching = append(watching, c)
	}
	s.WaitForWatchers(10)
	if err := s.Stop(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for _, c := range watching {
		r := c.Reply("GET")
		fronttest.Check(t, r, 500, `{"errorCode":500,"message":"watcher is cleared due to etcd recovery","cause":"the machine is shutting down"}`)
		if !r.Close {
			t.Error("the answer does not say that the connection ends")
		}
		c.WantClosed()
	}
	idle.WantClosed()
	if n := s.Open(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// At a stop under load each request is answered in full or its connection is closed, and an
// acknowledged write is in the store.
func TestShutdownUnderLoad(t *testing.T) { inAllModes(t, testShutdownUnderLoad) }

func testShutdownUnderLoad(t *testing.T, serve server) {
	s := serve(t)
	s.Dial().Set("/w", "value=1")
	var clients sync.WaitGroup
	var acknowledged [8]int
	for i := range acknowledged {
		c := s.Dial()
		clients.Go(func() {
			for n := 1; ; n++ {
				method, target, body := "POST", fmt.Sprintf("/v1/keys/k%d", i), fmt.Sprintf("value=%d", n)
				if n%2 == 0 {
					method, target, body = "POST", "/v1/watch/w", "index=3"
				}
				if _, err := io.WriteString(c.Conn, fronttest.RawRequest(method, target, body)); err != nil {
					return
				}
				r, err := fronttest.ReadReply(c.In, method)
				if err != nil {
					return
				}
				switch {
				case r.Status == 200 && n%2 == 1:
					acknowledged[i] = n
				case r.Status == 200, r.Status == 500 && strings.Contains(r.Body, `"errorCode":500`):
				case r.Status == 400 && strings.Contains(r.Body, `"errorCode":401`): // on a fast disk
				default:
					t.Errorf("%d %s", r.Status, r.Body)
				}
				if r.Close {
					return
				}
			}
		})
	}
	s.Eventually("the clients are at work", func() bool { return s.Requests() > 500 })
	if err := s.Stop(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	clients.Wait()
	for i, n := range acknowledged {
		reply := s.Read(fmt.Sprintf("/k%d", i))
		if n > 0 && (reply.Node == nil || reply.Node.Value < fmt.Sprint(n) && len(reply.Node.Value) <= len(fmt.Sprint(n))) {
			t.Errorf("client %d was told of %d, the store has %+v", i, n, reply.Node)
		}
	}
}

// Shutdown gives up waiting when it is told to.
func TestShutdownTimeout(t *testing.T) { inAllModes(t, testShutdownTimeout) }

func testShutdownTimeout(t *testing.T, serve server) {
	s := serve(t)
	c := s.Dial()
	c.Send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nvalue")
	s.Eventually("the request is being read", func() bool { return s.Open() == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("no error although a request was cut off")
	}
	_ = c.Close()
}

// hookListener hands out connections that a test can delay and fail.
type hookListener struct {
	net.Listener
	hook func(*hookConn)
}

func (l *hookListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := &hookConn{TCPConn: c.(*net.TCPConn)}
	l.hook(h)
	return h, nil
}

type hookConn struct {
	*net.TCPConn
	onRead     func()
	onDeadline func(at time.Time, set func(time.Time) error) error
	onWrite    func() error
}

func (c *hookConn) Read(p []byte) (int, error) {
	if c.onRead != nil {
		c.onRead()
	}
	return c.TCPConn.Read(p)
}

func (c *hookConn) Write(p []byte) (int, error) {
	if c.onWrite != nil {
		if err := c.onWrite(); err != nil {
			return 0, err
		}
	}
	return c.TCPConn.Write(p)
}

func (c *hookConn) SetReadDeadline(at time.Time) error {
	if c.onDeadline != nil {
		return c.onDeadline(at, c.TCPConn.SetReadDeadline)
	}
	return c.TCPConn.SetReadDeadline(at)
}

// A watch whose connection breaks before the hijack leaves no watcher behind.
func TestWatchOfABrokenConnection(t *testing.T) {
	broken := make(chan struct{})
	first := true
	l := &hookListener{fronttest.Loopback(t), func(c *hookConn) {
		if first {
			c.onWrite = func() error { close(broken); return io.ErrClosedPipe }
			first = false
		}
	}}
	s := serveOn(t, l)
	c := s.Dial()
	// The answer to the first is written only when the second has been handled.
	c.Send("%s", fronttest.RawRequest("GET", "/", "")+fronttest.RawRequest("GET", "/v1/watch/a", ""))
	<-broken
	s.WaitForWatchers(0)
	s.Eventually("the connection is given up", func() bool { return s.Open() == 1 })
}

// The answer to a watch is that to the write, however much has to be escaped in it, and its connection goes on.
func TestWatchOfLargeValues(t *testing.T) {
	inAllModes(t, func(t *testing.T, serve server) {
		s := serve(t)
		writer, c := s.Dial(), s.Dial()
		for _, size := range []int{100, 1000, 4000, 7000, 17_000} {
			c.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
			s.WaitForWatchers(1)
			want := writer.Set("/a", "value="+strings.Repeat("%3C", size))
			if r := c.Reply("GET"); r.Status != 200 || r.Body != want {
				t.Errorf("%d bytes: %d and %d bytes, want %d", size, r.Status, len(r.Body), len(want))
			}
		}
		if r := c.Get("/v1/keys/a"); r.Status != 200 {
			t.Errorf("the connection gets %d %.200s", r.Status, r.Body)
		}
	})
}
