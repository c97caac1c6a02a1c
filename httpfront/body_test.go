package httpfront_test

import (
	"runtime"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// openBody begins a request that announces a long body, and sends a part of it.
func openBody(s *fronttest.Server, length int, part string) *fronttest.Client {
	s.T.Helper()
	c := s.Dial()
	c.Send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", httpfront.TypeForm, length)
	if r := c.Reply("POST"); r.Status != 100 {
		s.T.Fatalf("%d %s, want 100", r.Status, r.Body)
	}
	c.Send("%s", part)
	return c
}

// Memory grows with what clients send, not with what they announce.
func TestAnnouncedBodies(t *testing.T) {
	const clients, announced = 500, 1 << 20
	s := serve(t, func(c *httpfront.Config) { c.MaxBody = announced })
	used := func() uint64 {
		s.Dial().Set("/b", "value=1") // others are served
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	open := make([]*fronttest.Client, clients)
	for i := range open {
		open[i] = openBody(s, announced, "value=")
	}
	if grown := (int64(used()) - int64(before)) / clients; grown > announced/8 {
		t.Errorf("%d bytes for each client that announces %d and sends 6", grown, announced)
	}
	runtime.KeepAlive(open)
}

// Beyond -max-body-memory bodies are refused, but small ones are not, and what a request
// has taken is given back when it has ended, however it ended.
func TestBodyMemory(t *testing.T) { inAllModes(t, testBodyMemory) }

func testBodyMemory(t *testing.T, serve server) {
	const long = 60_000
	s := serve(t, func(c *httpfront.Config) { c.MaxBody = 64 << 10; c.MaxBodyMemory = 64 << 10 })
	part := "value=" + strings.Repeat("x", long-7)
	first := openBody(s, long, part)
	s.Eventually("it is read", func() bool { return s.BodyBytes() == long-httpfront.FirstBody })

	c := s.Dial()
	r := c.Do("POST", "/v1/keys/b", part)
	fronttest.Check(t, r, 503, `{"errorCode":503,"message":"Service Unavailable","cause":"the bodies of all requests in flight are too large together; nothing was done. The limit is set by -max-body-memory"}`)
	if !r.Close {
		t.Error("the answer does not say that the connection ends")
	}
	c.WantClosed()
	c = s.Dial()
	c.Set("/b", "value="+strings.Repeat("x", httpfront.FirstBody-6))

	first.Send("y")
	if r := first.Reply("POST"); r.Status != 200 || !strings.Contains(r.Body, `xy"`) {
		t.Errorf("%d %.40s", r.Status, r.Body)
	}
	first.Set("/a", part) // on a connection that stays open

	first = openBody(s, long, part)
	s.Eventually("it is read", func() bool { return s.BodyBytes() == long-httpfront.FirstBody })
	_ = first.Close()
	s.Eventually("what was not sent to its end is given back", func() bool { return s.BodyBytes() == 0 })
	c.Set("/b", part)
	c.Send("POST /v1/keys/b HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n%s\r\nx", httpfront.TypeForm, strings.Repeat("x", 0xffff))
	fronttest.Check(t, c.Reply("POST"), 400, `{"errorCode":400,"message":"Bad Request","cause":"the request cannot be read"}`)
	// Its content is whole, and only the last chunk is missing.
	half := s.Dial()
	half.Send("POST /v1/keys/b HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nvalue=ab\r\n", httpfront.TypeForm)
	if err := half.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	fronttest.Check(t, half.Reply("POST"), 400, `{"errorCode":210,"message":"Invalid POST form","cause":"unexpected EOF"}`)
	fronttest.Check(t, s.Dial().Get("/v1/keys/b?quorum=false"), 200, `{"action":"GET","key":"/b","value":"`+part[6:]+`","index":6}`)
	if n := s.BodyBytes(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// Bodies around every size at which their buffer grows are read whole.
func TestBodySizes(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.MaxBodyMemory = 1 << 20 })
	c := s.Dial()
	for _, n := range []int{7, httpfront.FirstBody - 1, httpfront.FirstBody, httpfront.FirstBody + 1, 2*httpfront.FirstBody - 1, 2 * httpfront.FirstBody, 2*httpfront.FirstBody + 1, 64<<10 - 1, 64 << 10} {
		value := strings.Repeat("0123456789", n/10+1)[:n-6]
		for _, chunk := range []int{0, 1000, n} {
			if chunk == 0 {
				c.Send("%s", fronttest.RawRequest("POST", "/v1/keys/a", "value="+value))
			} else {
				c.Send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", httpfront.TypeForm)
				for rest := "value=" + value; rest != ""; rest = rest[min(chunk, len(rest)):] {
					c.Send("%x\r\n%s\r\n", min(chunk, len(rest)), rest[:min(chunk, len(rest))])
				}
				c.Send("0\r\n\r\n")
			}
			if r := c.Reply("POST"); r.Status != 200 || !strings.Contains(r.Body, `"value":"`+value+`"`) {
				t.Errorf("%d bytes in chunks of %d: %d %.60s", n, chunk, r.Status, r.Body)
			}
		}
	}
}
