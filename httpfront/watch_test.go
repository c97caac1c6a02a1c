package httpfront

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

	"etcd/actors"
	"etcd/listen"
	"etcd/store"
)

// The connection of a watch goes on afterwards, and what its client sent behind the
// watch, at once or while it was waiting, is answered in order.
func TestWatchGivesTheConnectionBack(t *testing.T) { inBothModes(t, testWatchGivesTheConnectionBack) }

func testWatchGivesTheConnectionBack(t *testing.T, serve server) {
	many := slices.Repeat([]string{"/version"}, maxEarly/len(rawRequest("GET", "/version", "")))
	for _, test := range []struct {
		name          string
		behind, later []string
	}{
		{"nothing behind", nil, nil},
		{"behind", []string{"/version", "/v1/keys/a"}, nil},
		{"later", nil, []string{"/version", "/v1/keys/a"}},
		{"both", []string{"/v1/keys/a"}, []string{"/version", "/v1/keys/a"}},
		{"a lot behind", many, nil},
		{"a lot later", nil, many},
		{"another watch behind", []string{"/v1/watch/a?quorum=false"}, []string{"/version"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			writer := s.dial()
			c := s.dial()
			join := func(targets []string) (all string) {
				for _, target := range targets {
					all += rawRequest("GET", target, "")
				}
				return all
			}
			c.send("%s", rawRequest("GET", "/v1/watch/a", "")+join(test.behind))
			s.watchers(1)
			if len(test.later) > 0 {
				c.send("%s", join(test.later))
			}
			want := writer.set("/a", "value=1")
			check(t, c.reply("GET"), 200, want)
			for _, target := range append(test.behind, test.later...) {
				switch {
				case target == "/version":
					check(t, c.reply("GET"), 200, "etcd v9")
				case strings.HasPrefix(target, "/v1/keys"):
					check(t, c.reply("GET"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
				default:
					s.watchers(1)
					want = writer.set("/a", "value=2")
					check(t, c.reply("GET"), 200, want)
				}
			}
			check(t, c.get("/version"), 200, "etcd v9")
			s.watchers(0)
		})
	}
}

// A client that sends more behind its watch than can be kept is told so, and its
// connection ends, with what it has registered: it could not be seen to leave.
func TestTooMuchBehindAWatch(t *testing.T) { inBothModes(t, testTooMuchBehindAWatch) }

func testTooMuchBehindAWatch(t *testing.T, serve server) {
	s := serve(t)
	watching, much := rawRequest("GET", "/v1/watch/a", ""), strings.Repeat("x", maxEarly+1)
	for _, later := range []bool{false, true} {
		c := s.dial()
		if later {
			c.send("%s", watching)
			s.watchers(1)
			c.send("%s", much)
		} else {
			c.send("%s", watching+much)
		}
		r := c.reply("GET")
		check(t, r, 400, `{"errorCode":400,"message":"Bad Request","cause":"more than 4096 bytes behind a watch that waits"}`)
		if !r.close {
			t.Error("the answer does not say that the connection ends")
		}
		c.ended()
	}
	for range 20 {
		c := s.dial()
		c.send("%s", watching+strings.Repeat("x", 5000))
		_ = c.Close()
	}
	s.eventually("all are gone", func() bool { return s.port.Open() == 1 && s.machine.Watchers() == 0 })
}

// A watch whose event is there already, many times on one connection: the answer may
// come before, while and after the connection is taken over.
func TestWatchHistoryOverAndOver(t *testing.T) { inBothModes(t, testWatchHistoryOverAndOver) }

func testWatchHistoryOverAndOver(t *testing.T, serve server) {
	s := serve(t)
	c := s.dial()
	want := c.set("/a", "value=1")
	for range 500 {
		check(t, c.do("POST", "/v1/watch/a", "index=3"), 200, want)
	}
	for range 500 {
		c.send("%s", rawRequest("POST", "/v1/watch/a", "index=3")+rawRequest("GET", "/version", ""))
		check(t, c.reply("POST"), 200, want)
		check(t, c.reply("GET"), 200, "etcd v9")
	}
}

func TestWatchFrom(t *testing.T) { inBothModes(t, testWatchFrom) }

func testWatchFrom(t *testing.T, serve server) {
	s := serve(t)
	c, writer := s.dial(), s.dial()
	writer.set("/a/b", "value=1")
	want := writer.set("/a/b", "value=2")
	check(t, c.do("POST", "/v1/watch/a?index=4", ""), 200, want)
	check(t, c.get("/v1/watch/a?index=4"), 200, want)
	check(t, c.do("GET", "/v1/watch/a", "index=4"), 200, want)
	c.send("%s", rawRequest("POST", "/v1/watch/", "index=7")) // to come
	s.watchers(1)
	writer.set("/a/b", "value=3")
	writer.set("/ab", "value=4")
	want = writer.set("/c", "value=5")
	check(t, c.reply("POST"), 200, want)
	c.send("%s", rawRequest("POST", "/v1/watch/a", "index=0")) // as if without
	s.watchers(1)
	writer.set("/ab", "value=6")
	want = writer.set("/a/_hidden", "value=7")
	check(t, c.reply("POST"), 200, want)
	for range 1001 {
		writer.set("/a/b", "value=1")
	}
	r := c.do("POST", "/v1/watch/a", "index=3")
	if r.status != 400 || !strings.Contains(r.body, `"errorCode":401,`) {
		t.Errorf("watch of a cleared index: %d %s", r.status, r.body)
	}
}

// An event reaches a watcher that asked for the connection to be closed, and one that
// speaks HTTP/1.0; then the connection ends.
func TestWatchThenClose(t *testing.T) { inBothModes(t, testWatchThenClose) }

func testWatchThenClose(t *testing.T, serve server) {
	s := serve(t)
	writer := s.dial()
	for i, head := range []string{
		"GET /v1/watch/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /v1/watch/a HTTP/1.0\r\n\r\n",
	} {
		c := s.dial()
		c.send("%s", head)
		s.watchers(1)
		want := writer.set("/a", fmt.Sprintf("value=%d", i))
		r := c.reply("GET")
		check(t, r, 200, want)
		if !r.close {
			t.Error("the answer does not say that the connection ends")
		}
		c.ended()
	}
}

// A client that leaves takes its watcher along, however it leaves.
func TestWatcherLeaves(t *testing.T) { inBothModes(t, testWatcherLeaves) }

func testWatcherLeaves(t *testing.T, serve server) {
	s := serve(t)
	for name, leave := range map[string]func(c net.Conn, tcp *net.TCPConn) error{
		"close": func(c net.Conn, _ *net.TCPConn) error { return c.Close() },
		"shut":  func(c net.Conn, _ *net.TCPConn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
		"cut":   func(_ net.Conn, tcp *net.TCPConn) error { return tcp.Close() }, // over TLS: without a word
		"reset": func(_ net.Conn, tcp *net.TCPConn) error { return errors.Join(tcp.SetLinger(0), tcp.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial()
			c.send("%s", rawRequest("GET", "/v1/watch/a", "")+rawRequest("GET", "/version", ""))
			s.watchers(1)
			tcp := c.Conn
			if secured, ok := tcp.(*tls.Conn); ok {
				tcp = secured.NetConn()
			}
			if err := leave(c.Conn, tcp.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			s.watchers(0)
		})
	}
	s.dial().set("/a", "value=1") // delivers to nobody
	s.eventually("all connections are given up", func() bool { return s.port.Open() == 2 })
}

// At a stop every watcher is told so, and its connection ends.
func TestShutdownAnswersWatches(t *testing.T) { inBothModes(t, testShutdownAnswersWatches) }

func testShutdownAnswersWatches(t *testing.T, serve server) {
	s := serve(t)
	idle := s.dial()
	idle.get("/version")
	var watching []*client
	for i := range 10 {
		c := s.dial()
		c.send("%s", rawRequest("GET", fmt.Sprintf("/v1/watch/%d", i), ""))
		watching = append(watching, c)
	}
	s.watchers(10)
	if err := s.stop(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for _, c := range watching {
		r := c.reply("GET")
		check(t, r, 500, `{"errorCode":500,"message":"watcher is cleared due to etcd recovery","cause":"the machine is shutting down"}`)
		if !r.close {
			t.Error("the answer does not say that the connection ends")
		}
		c.ended()
	}
	idle.ended()
	if n := s.port.Open(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// A stop while clients work: each request is answered in full or its connection ends,
// and an acknowledged write is in the store.
func TestShutdownUnderLoad(t *testing.T) { inBothModes(t, testShutdownUnderLoad) }

func testShutdownUnderLoad(t *testing.T, serve server) {
	s := serve(t)
	s.dial().set("/w", "value=1")
	var clients sync.WaitGroup
	var acknowledged [8]int
	for i := range acknowledged {
		c := s.dial()
		clients.Go(func() {
			for n := 1; ; n++ {
				method, target, body := "POST", fmt.Sprintf("/v1/keys/k%d", i), fmt.Sprintf("value=%d", n)
				if n%2 == 0 {
					method, target, body = "POST", "/v1/watch/w", "index=3"
				}
				if _, err := io.WriteString(c.Conn, rawRequest(method, target, body)); err != nil {
					return
				}
				r, err := readReply(c.in, method)
				if err != nil {
					return
				}
				switch {
				case r.status == 200 && n%2 == 1:
					acknowledged[i] = n
				case r.status == 200, r.status == 500 && strings.Contains(r.body, `"errorCode":500`):
				case r.status == 400 && strings.Contains(r.body, `"errorCode":401`): // on a fast disk
				default:
					t.Errorf("%d %s", r.status, r.body)
				}
				if r.close {
					return
				}
			}
		})
	}
	s.eventually("the clients are at work", func() bool { return s.lastID.Load() > 500 })
	if err := s.stop(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	clients.Wait()
	asks := s.exchange()
	for i, n := range acknowledged {
		reply := asks.Read(fmt.Sprintf("/k%d", i), true)
		if n > 0 && (reply.Node == nil || reply.Node.Value < fmt.Sprint(n) && len(reply.Node.Value) <= len(fmt.Sprint(n))) {
			t.Errorf("client %d was told of %d, the store has %+v", i, n, reply.Node)
		}
	}
}

// Shutdown gives up waiting when it is told to.
func TestShutdownTimeout(t *testing.T) { inBothModes(t, testShutdownTimeout) }

func testShutdownTimeout(t *testing.T, serve server) {
	s := serve(t)
	c := s.dial()
	c.send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nvalue")
	s.eventually("the request is being read", func() bool { return s.port.Open() == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("no error although a request was cut off")
	}
	_ = c.Close()
}

// The answer to a request that was given up is not taken for that of the next one.
func TestLateAnswers(t *testing.T) {
	s := serve(t)
	session := s.sessionOf(&conn{Conn: &listen.Conn{}})
	defer session.stop()
	first := session.expect()
	second := session.expect()
	s.root.Send(session.pid, &actors.Proposed{ID: first})
	s.root.Send(session.pid, &actors.WatchReply{ID: first})
	s.root.Send(session.pid, &actors.Proposed{ID: second, Result: store.Result{Index: 5}})
	s.root.Send(session.pid, &actors.Proposed{ID: second, Result: store.Result{Index: 6}})
	reply := (<-session.answers).(*actors.Proposed)
	if reply.ID != second || reply.Result.Index != 5 {
		t.Errorf("got %+v, want the first answer to request %d", reply, second)
	}
	if len(session.answers) != 0 {
		t.Errorf("another answer was kept: %+v", <-session.answers)
	}
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

// A watch is answered and the connection goes on, even if the one who delivers is
// held up between handing over the event and waking the reader, which was woken by
// something else: the late wake-up must not end a later read.
func TestSlowWakeUp(t *testing.T) {
	waking, slept, woken := make(chan struct{}), make(chan struct{}), make(chan struct{})
	reading := make(chan struct{}, 100)
	var once sync.Once
	l := &hookListener{loopback(t), func(c *hookConn) {
		c.onRead = func() { reading <- struct{}{} }
		c.onDeadline = func(at time.Time, set func(time.Time) error) (err error) {
			if !at.Equal(longAgo) {
				return set(at)
			}
			once.Do(func() {
				close(waking)
				<-slept
				err = set(at)
				close(woken)
			})
			return err
		}
	}}
	s := serveOn(t, l)
	c := s.dial()
	c.send("%s", rawRequest("GET", "/v1/watch/a", ""))
	<-reading
	<-reading // of the watch
	s.root.Send(s.machine.Raft, &actors.Propose{Command: setCommand("/a", "1", nil, nil)})
	<-waking
	c.send("%s", rawRequest("GET", "/version", "")) // wakes the reader
	answered := make(chan struct{})
	go func() {
		// Without an answer the delivery goes on after a while, as it would anyway.
		select {
		case <-answered:
		case <-time.After(100 * time.Millisecond):
		}
		close(slept)
	}()
	first := c.reply("GET")
	second := c.reply("GET")
	close(answered)
	check(t, first, 200, `{"action":"SET","key":"/a","value":"1","newKey":true,"index":3}`)
	check(t, second, 200, "etcd v9")
	<-woken
	for range 3 {
		check(t, c.get("/version"), 200, "etcd v9")
	}
}

// A watch whose connection breaks before it was taken over leaves no watcher behind.
func TestWatchOfABrokenConnection(t *testing.T) {
	broken := make(chan struct{})
	first := true
	l := &hookListener{loopback(t), func(c *hookConn) {
		if first {
			c.onWrite = func() error { close(broken); return io.ErrClosedPipe }
			first = false
		}
	}}
	s := serveOn(t, l)
	c := s.dial()
	// The answer to the first is written only when the second has been handled.
	c.send("%s", rawRequest("GET", "/version", "")+rawRequest("GET", "/v1/watch/a", ""))
	<-broken
	s.watchers(0)
	s.eventually("the connection is given up", func() bool { return s.port.Open() == 1 })
}
