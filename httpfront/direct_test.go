package httpfront_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/listen"
)

// Requests are answered alike, whether or not they are served directly.
func TestDirectAnswersAreTheSame(t *testing.T) {
	const host = "Host: x\r\n"
	raw := fronttest.RawRequest
	requests := []string{
		raw("GET", "/v1/keys/a", ""),
		raw("POST", "/v1/keys/a", "value=1"),
		raw("PUT", "/v1/keys/a", "value=2"),
		raw("GET", "/v1/keys/a", ""),
		raw("GET", "/v1/keys/a?quorum=false", ""),
		raw("GET", "/v1/keys/a/?quorum=maybe", ""),
		raw("HEAD", "/v1/keys/a", ""),
		raw("POST", "/v1/keys/a", "prevValue=1&value=3"),
		raw("POST", "/v1/keys/a", "prevValue=2&value=3"),
		raw("POST", "/v1/keys/a", "value=4&ttl=x"),
		raw("POST", "/v1/keys/a", "nothing=1"),
		raw("POST", "/v1/keys/_etcd/a", "value=1"),
		raw("POST", "/v1/keys/%C3%A4", "value=%C3%A4+%22"),
		raw("POST", "/v1/keys/%zz", "value=1"),
		raw("GET", "/v1/keys/%C3%A4", ""),
		raw("POST", "/v1/keys/d/b", "value=1"),
		raw("POST", "/v1/keys/d/c", "value="+strings.Repeat("x", 3000)),
		raw("POST", "/v1/keys/d/large", "value="+strings.Repeat("x", 100_000)),
		raw("GET", "/v1/keys/d/large", ""),
		raw("GET", "/v1/keys/d/large?quorum=false", ""),
		raw("POST", "/v1/keys/d/large", "value=small"),
		raw("GET", "/v1/keys/d", ""),
		raw("GET", "/v1/get/d/b", ""),
		raw("GET", "/v1/watch/a?index=3", ""),
		raw("POST", "/v1/watch/a", "index=4"),
		raw("POST", "/v1/watch/a", "index=x"),
		raw("DELETE", "/v1/keys/a", ""),
		raw("DELETE", "/v1/keys/a", ""),
		raw("DELETE", "/v1/keys/d", ""),
		raw("PATCH", "/v1/keys/a", "value=1"),
		raw("GET", "/v1/nothing", ""),
		raw("GET", "/", ""),
		"GET /v1/keys/d/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET http://x/v1/keys/d/b HTTP/1.1\r\n" + host + "\r\n",
		"GET /v1/keys/d/b HTTP/1.1\r\n" + host + "Accept: application/octet-stream\r\n\r\n",
		"GET /v1/keys/d/b HTTP/1.1\r\n" + host + "Origin: http://example.com\r\n\r\n",
		"GET /v1/keys/d/b HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc",
		"POST /v1/keys/a HTTP/1.1\r\n" + host + "Content-Type: " + httpfront.TypeForm + "\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n",
		"POST /v1/keys/a HTTP/1.1\r\n" + host + "Content-Type: text/plain\r\nContent-Length: 7\r\n\r\nvalue=1",
		"GET /v1/keys/d/b HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
	}
	answers := make(map[string][]string) // by mode, in the order of the requests
	answer := func(mode string) {
		t.Run(mode, func(t *testing.T) {
			s := serve(t)
			for _, request := range requests {
				answers[mode] = append(answers[mode], twice(s.Dial(), request))
			}
		})
	}
	answer("directly")
	func() {
		defer httpfront.UsePoller(listen.Peeks{})() // with which nothing arrives whole
		answer("otherwise")
	}()
	for i, request := range requests {
		if a, b := answers["directly"][i], answers["otherwise"][i]; a != b {
			t.Errorf("%.200q is answered directly with\n%.2000s\notherwise with\n%.2000s", request, a, b)
		}
	}
}

// twice sends a request two times, and returns the answers, without their dates.
func twice(c *fronttest.Client, request string) (answers string) {
	c.T.Helper()
	method, _, _ := strings.Cut(request, " ")
	for range 2 { // the connection is kept alive, or not
		c.Send("%s", request)
		r, err := fronttest.ReadReply(c.In, method)
		if err != nil {
			return answers + "the end"
		}
		r.Header.Del("Date")
		answers += fmt.Sprintf("%+v\n", r)
	}
	return answers
}

// Requests that a client sends without waiting for answers are answered in their order.
func TestPipelinedRequests(t *testing.T) {
	inAllModes(t, func(t *testing.T, serve server) {
		s := serve(t)
		c := s.Dial()
		const many = 100
		var all strings.Builder
		for i := range many {
			all.WriteString(fronttest.RawRequest("POST", "/v1/keys/a", fmt.Sprintf("value=%d&%s", i, strings.Repeat("x", i*37%5000))))
			all.WriteString(fronttest.RawRequest("GET", "/v1/keys/a?quorum=false", ""))
			all.WriteString(fronttest.RawRequest("GET", "/v1/keys/a", ""))
		}
		go func() { _, _ = c.Conn.Write([]byte(all.String())) }() // what is not sent is not answered
		for i := range many {
			set := c.Reply("POST")
			if want := fmt.Sprintf(`"value":"%d"`, i); set.Status != 200 || !strings.Contains(set.Body, want) {
				t.Fatalf("set: %d %s, want %s", set.Status, set.Body, want)
			}
			for range 2 {
				if got := c.Reply("GET"); !strings.Contains(got.Body, fmt.Sprintf(`"value":"%d","index":%d`, i, 3+i)) {
					t.Fatalf("read after set %d: %s", i, got.Body)
				}
			}
		}
	})
}

// Local reads see what was acknowledged before them on any connection, also while they are
// many and share a view of the state.
func TestLocalReadsSeeWhatWasAcknowledged(t *testing.T) {
	s := serve(t)
	writer, reader := s.Dial(), s.Dial()
	for i := range 50 {
		writer.Set("/a", fmt.Sprintf("value=%d", i))
		for range 20 {
			if got := reader.Get("/v1/keys/a?quorum=false").Body; !strings.Contains(got, fmt.Sprintf(`"value":"%d"`, i)) {
				t.Fatalf("after %d was written: %s", i, got)
			}
		}
	}
}

// Two requests over TLS that arrive at once, each in a record of its own, are both answered.
func TestPipelinedRecords(t *testing.T) {
	s := serve(t, fronttest.WithTLS)
	raw, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.TLS.Clone()
	cfg.ServerName = "127.0.0.1"
	cork := &corked{Conn: raw}
	c := fronttest.NewClient(t, tls.Client(cork, cfg))
	c.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
	s.WaitForWatchers(1)
	set := s.Dial().Set("/a", "value=1")
	fronttest.Check(t, c.Reply("GET"), 200, set) // and now it is parked
	for range 3 {
		cork.wait = true
		c.Send("%s", fronttest.RawRequest("GET", "/v1/keys/a", ""))
		cork.wait = false
		c.Send("%s", fronttest.RawRequest("GET", "/v1/keys/a", ""))
		for range 2 {
			fronttest.Check(t, c.Reply("GET"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
		}
	}
}

// corked is a connection that keeps what is written, as long as it is to wait.
type corked struct {
	net.Conn
	wait bool
	kept []byte
}

func (c *corked) Write(p []byte) (int, error) {
	c.kept = append(c.kept, p...)
	if c.wait {
		return len(p), nil
	}
	_, err := c.Conn.Write(c.kept)
	c.kept = nil
	return len(p), err
}

// The time to write an answer does not go on when it is written: the next answer may be due
// much later.
func TestWriteDeadlinesEnd(t *testing.T) {
	l := &deadlines{Listener: fronttest.Loopback(t)}
	s := serveOn(t, l, func(c *httpfront.Config) { c.MaxBody, c.MaxBodyMemory = 16<<20, 64<<20 })
	writer := s.Dial()
	for i := range 300 {
		writer.Set(fmt.Sprintf("/d/%d", i), "value=1")
	}
	large := writer.Set("/large", "value="+strings.Repeat("x", 12<<20)) // more than the buffers of a socket hold
	for name, answer := range map[string]func(c *fronttest.Client){
		"a listing":     func(c *fronttest.Client) { c.Get("/v1/keys/d") },
		"a large value": func(c *fronttest.Client) { c.Get("/v1/keys/large") },
		"a large event": func(c *fronttest.Client) {
			fronttest.Check(t, c.Get("/v1/watch/large?index="+large[strings.LastIndex(large, ":")+1:len(large)-1]), 200, large)
		},
	} {
		c := s.Dial()
		fronttest.Check(t, c.Get("/v1/keys/d/1"), 200, `{"action":"GET","key":"/d/1","value":"1","index":303}`)
		served := l.last.Load()
		before := served.set.Load()
		answer(c)
		if served.set.Load() == before {
			t.Errorf("%s: no deadline was set", name)
		}
		s.Eventually("the deadline is over after "+name, func() bool { return served.until.Load() == 0 })
	}
}

// deadlines is a listener whose connections say until when they may be written to.
type deadlines struct {
	net.Listener
	last atomic.Pointer[deadlined]
}

func (l *deadlines) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d := &deadlined{TCPConn: c.(*net.TCPConn)}
	l.last.Store(d)
	return d, nil
}

type deadlined struct {
	*net.TCPConn
	set   atomic.Int64 // how often
	until atomic.Int64 // 0: for ever
}

func (d *deadlined) SetWriteDeadline(t time.Time) error {
	d.set.Add(1)
	d.until.Store(0)
	if !t.IsZero() {
		d.until.Store(t.UnixNano())
	}
	return d.TCPConn.SetWriteDeadline(t)
}
