package httpfront

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestConnectionLimit(t *testing.T) { inBothModes(t, testConnectionLimit) }

func testConnectionLimit(t *testing.T, serve server) {
	s := serve(t, func(c *Config) { c.MaxConnections = 3 })
	open := []*client{s.dial(), s.dial(), s.dial()}
	for _, c := range open {
		c.get("/version")
	}
	open[0].send("%s", rawRequest("GET", "/v1/watch/a", "")) // counts as before
	for range 3 {
		c := s.dial() // sends nothing, and is told all the same
		r := c.reply("GET")
		check(t, r, 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
		if !r.close {
			t.Error("the answer does not say that the connection ends")
		}
		c.ended()
	}
	if n := s.port.Refused(); n != 3 {
		t.Errorf("%d refusals were counted, want 3", n)
	}
	if log := s.log.take(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "-max-connections") || !strings.Contains(log, "limit=3") {
		t.Errorf("three refusals logged:\n%s", log)
	}
	check(t, open[1].get("/version"), 200, "etcd v9") // those that are in stay
	for _, c := range open[:2] {
		_ = c.Close() // one of them watches
	}
	for deadline := time.Now().Add(patience); s.port.Open() > 1; open[2].get("/version") {
		if time.Now().After(deadline) {
			t.Fatal("closed connections are still counted")
		}
	}
	check(t, s.dial().get("/version"), 200, "etcd v9")
}

// A client that sends a body which is refused reads why, although it was still
// sending, and the connection ends.
func TestRefusedBody(t *testing.T) { inBothModes(t, testRefusedBody) }

func testRefusedBody(t *testing.T, serve server) {
	s := serve(t)
	want := `{"errorCode":413,"message":"Request Entity Too Large","cause":"the limit is set by -max-body"}`
	for name, head := range map[string]string{
		"length":  "Content-Length: 20000000\r\n\r\n",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n1312D00\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial()
			c.send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s", urlencoded, head)
			if _, err := io.CopyN(c.Conn, zeros{}, 20_000_000); err != nil {
				t.Fatalf("sending: %v", err)
			}
			check(t, c.reply("POST"), 413, want)
			c.ended()
		})
	}
	c := s.dial()
	body := "value=" + strings.Repeat("x", 64<<10-6)
	if r := c.do("POST", "/v1/keys/a", body); r.status != 200 {
		t.Errorf("a body as long as the limit: %d", r.status)
	}
	check(t, c.do("POST", "/v1/keys/a", body+"x"), 413, want)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLongRequests(t *testing.T) { inBothModes(t, testLongRequests) }

func testLongRequests(t *testing.T, serve server) {
	s := serve(t)
	long := func(n int) string { return strings.Repeat("k", n) }
	for _, test := range []struct {
		name, request string
		status        int
		ends          bool
	}{
		{"target at the limit", rawRequest("GET", "/v1/keys/"+long(maxURI-len("/v1/keys/")), ""), 404, false},
		{"target over the limit", rawRequest("GET", "/v1/keys/"+long(maxURI), ""), 414, false},
		{"target over the buffer", rawRequest("GET", "/v1/keys/"+long(2*maxHeader), ""), 414, true},
		{"headers over the buffer", "GET / HTTP/1.1\r\nHost: x\r\nX: " + long(2*maxHeader) + "\r\n\r\n", 431, true},
		{"second request on a connection", rawRequest("GET", "/", "") + rawRequest("GET", "/v1/keys/"+long(2*maxHeader), ""), 414, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.dial()
			c.send("%s", test.request)
			if strings.HasPrefix(test.name, "second") {
				c.reply("GET")
			}
			r := c.reply("GET")
			if r.status != test.status || r.header.Get("Content-Type") != TypeJSON || !strings.HasPrefix(r.body, `{"errorCode":`) {
				t.Errorf("%d %s, want %d", r.status, r.body, test.status)
			}
			if test.ends {
				c.ended()
			} else {
				check(t, c.get("/version"), 200, "etcd v9")
			}
		})
	}
}

// One request that makes its handler panic costs its client the answer, nobody else.
func TestHandlerPanics(t *testing.T) { inBothModes(t, testHandlerPanics) }

func testHandlerPanics(t *testing.T, serve server) {
	s := serve(t)
	c, beside := s.dial(), s.dial()
	c.set("/a", "value=1")
	s.clock.broken.Store(true)
	r := c.get("/v1/keys/a") // looks at the clock for the time that is left
	check(t, r, 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"internal error"}`)
	if !r.close {
		t.Error("the answer does not say that the connection ends")
	}
	c.ended()
	log := s.log.take()
	for _, part := range []string{"made its handler panic", "panic=\"the clock is broken\"", "uri=/v1/keys/a", "method=GET", "stack="} {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %q:\n%s", part, log)
		}
	}
	check(t, beside.get("/version"), 200, "etcd v9")
	s.clock.broken.Store(false)
	check(t, beside.get("/v1/keys/a"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
	s.eventually("the connection is given up", func() bool { return s.port.Open() == 2 })
}
