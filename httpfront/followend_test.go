package httpfront_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// How streams end, and what they cost until then.

// When a client goes, however it goes, its stream is forgotten.
func TestFollowerLeaves(t *testing.T) { inAllModes(t, testFollowerLeaves) }

func testFollowerLeaves(t *testing.T, serve server) {
	s := serve(t)
	for name, leave := range map[string]func(c net.Conn, tcp *net.TCPConn) error{
		"close": func(c net.Conn, _ *net.TCPConn) error { return c.Close() },
		"shut":  func(c net.Conn, _ *net.TCPConn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
		"cut":   func(_ net.Conn, tcp *net.TCPConn) error { return tcp.Close() },
		"reset": func(_ net.Conn, tcp *net.TCPConn) error { return errors.Join(tcp.SetLinger(0), tcp.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			f := follow(s.Dial(), "/v1/watch/a?stream=true&key=/b")
			f.line()
			s.WaitForWatchers(2)
			tcp := f.Conn
			if secured, ok := tcp.(*tls.Conn); ok {
				tcp = secured.NetConn()
			}
			if err := leave(f.Conn, tcp.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			s.WaitForWatchers(0)
		})
	}
	s.Dial().Set("/a", "value=1") // delivers to nobody
	s.Eventually("all connections are given up", func() bool { return s.Open() == 2 })
}

// A client that sends too much behind its stream is cut off: the server could not notice that it has
// gone.
func TestTooMuchBehindAStream(t *testing.T) { inAllModes(t, testTooMuchBehindAStream) }

func testTooMuchBehindAStream(t *testing.T, serve server) {
	s := serve(t)
	f := follow(s.Dial(), "/v1/watch/a?stream=true")
	f.line()
	f.Send("%s", strings.Repeat("x", httpfront.MaxReadAhead+1))
	if rest, err := io.ReadAll(f.body); err == nil || len(rest) > 0 {
		t.Errorf("the stream goes on with %q, or ends in good order", rest)
	}
	s.WaitForWatchers(0)
}

// At a stop every stream says where to go on, and its connection is closed.
func TestShutdownEndsStreams(t *testing.T) { inAllModes(t, testShutdownEndsStreams) }

func testShutdownEndsStreams(t *testing.T, serve server) {
	s := serve(t)
	writer := s.Dial()
	var following, events []*follower
	for range 5 {
		f := follow(s.Dial(), "/v1/watch/a?stream=true")
		f.want(heartbeat(newest))
		following = append(following, f)
		f = follow(s.Dial(), "/v1/watch/a", "Accept: text/event-stream")
		f.block()
		events = append(events, f)
	}
	body := writer.Set("/a", "value=1")
	for i := range following {
		following[i].want(body)
		events[i].block()
	}
	if err := s.Stop(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	const closing = `{"errorCode":500,"message":"watcher is cleared due to etcd recovery","cause":"the machine is shutting down","index":3}`
	for i, f := range following {
		f.want(closing)
		f.wantEnd()
		f.WantClosed()
		f = events[i]
		if got, want := f.block(), "id: 3\nretry: 1000\nevent: closing\ndata: "+closing; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		f.wantEnd()
		f.WantClosed()
	}
}

// A client that does not read its stream does not hold up a stop.
func TestShutdownWithADeafFollower(t *testing.T) { inAllModes(t, testShutdownWithADeafFollower) }

func testShutdownWithADeafFollower(t *testing.T, serve server) {
	s := serve(t, func(c *httpfront.Config) { c.MaxBody, c.MaxBodyMemory = 16<<20, 64<<20 })
	follow(s.Dial(), "/v1/watch/a?stream=true").line()
	c := s.Dial()
	other := follow(c, "/v1/watch/a?stream=true")
	other.line()
	large := s.Dial().Set("/a", "value="+strings.Repeat("x", 12<<20)) // more than the buffers of a socket hold
	other.want(large)
	begin := time.Now()
	if err := s.Stop(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if took := time.Since(begin); took > fronttest.Timeout/4 {
		t.Errorf("the stop has taken %s", took)
	}
}

// Clients that do not know chunks get the stream up to the end of the connection.
func TestFollowInHTTP10(t *testing.T) { inAllModes(t, testFollowInHTTP10) }

func testFollowInHTTP10(t *testing.T, serve server) {
	s := serve(t)
	c := s.Dial()
	c.Send("GET /v1/watch/a?stream=true HTTP/1.0\r\n\r\n")
	f := began(c)
	if f.header.Get("Transfer-Encoding") != "" || f.header.Get("Content-Length") != "" {
		t.Errorf("%v", f.header)
	}
	f.want(heartbeat(newest))
	f.want(s.Dial().Set("/a", "value=1"))
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if line := f.line(); !strings.HasSuffix(line, `"index":3}`) {
		t.Errorf("it ends with %s", line)
	}
	f.wantEnd()
}

// A client that takes nothing of its stream is given up. One that reads slowly is not.
func TestDeadFollower(t *testing.T) {
	defer httpfront.UseStreamTimes(time.Minute, 4*time.Second)()
	inAllModes(t, func(t *testing.T, serve server) {
		s := serve(t, func(c *httpfront.Config) { c.MaxBody, c.MaxBodyMemory = 16<<20, 64<<20 })
		writer, dead, slow := s.Dial(), s.Dial(), s.Dial()
		smallBuffer(t, slow.Conn) // with a large one the server sees for seconds that nothing is taken
		follow(dead, "/v1/watch/a?stream=true").line()
		f := follow(slow, "/v1/watch/a?stream=true")
		f.line()
		s.WaitForWatchers(2)
		const size = 12 << 20 // more than the buffers of a socket hold
		writer.Set("/a", "value="+strings.Repeat("x", size))
		writer.Set("/a", "value=0")
		// The slow one is read until the dead one is gone, and then to its end.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		read := 0
		for s.Machine.Watchers() > 1 {
			<-tick.C
			n, err := io.ReadFull(f.body, make([]byte, 32<<10))
			if read += n; err != nil {
				t.Fatal(err)
			}
		}
		if read >= size {
			t.Fatal("the slow client was not slow")
		}
		if rest := f.line(); read+len(rest) < size {
			t.Errorf("the slow client got %d bytes", read+len(rest))
		}
		f.line() // it has the large value as well
		f.want(writer.Set("/a", "value=1"))
	})
}

// smallBuffer has the kernel buffer little of what is received on a connection.
func smallBuffer(t *testing.T, c net.Conn) {
	t.Helper()
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
}

// A stream that waits for events has no goroutine.
func TestStreamsHaveNoGoroutine(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"plain": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, mode)
			const many = 100
			before := runtime.NumGoroutine()
			var all []*follower
			for range many {
				f := follow(s.Dial(), "/v1/watch/a?stream=true")
				f.line()
				all = append(all, f)
			}
			writer := s.Dial()
			for i := range 3 {
				s.Eventually("the goroutines end", func() bool { return runtime.NumGoroutine() < before+many/2 })
				want := writer.Set("/a", "value="+strconv.Itoa(i))
				for _, f := range all {
					f.want(want)
				}
			}
		})
	}
}
