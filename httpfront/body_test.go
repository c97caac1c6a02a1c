package httpfront

import (
	"runtime"
	"strings"
	"testing"
)

// openBody begins a request that announces a long body, and sends a part of it.
func openBody(s *testServer, length int, part string) *client {
	s.t.Helper()
	c := s.dial()
	c.send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", urlencoded, length)
	if r := c.reply("POST"); r.status != 100 {
		s.t.Fatalf("%d %s, want 100", r.status, r.body)
	}
	c.send("%s", part)
	return c
}

// Memory follows what clients send, not what they announce.
func TestAnnouncedBodies(t *testing.T) {
	const clients, announced = 500, 1 << 20
	s := serve(t, func(c *Config) { c.MaxBody = announced })
	used := func() uint64 {
		s.dial().set("/b", "value=1") // others are served
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	open := make([]*client, clients)
	for i := range open {
		open[i] = openBody(s, announced, "value=")
	}
	if grown := (int64(used()) - int64(before)) / clients; grown > announced/8 {
		t.Errorf("%d bytes for each client that announces %d and sends 6", grown, announced)
	}
	runtime.KeepAlive(open)
}

// Beyond -max-body-memory bodies are refused, small ones are not, and what a request
// has taken is there again when it has ended, however that was.
func TestBodyMemory(t *testing.T) { inBothModes(t, testBodyMemory) }

func testBodyMemory(t *testing.T, serve server) {
	const long = 60_000
	s := serve(t, func(c *Config) { c.MaxBody = 64 << 10; c.MaxBodyMemory = 64 << 10 })
	part := "value=" + strings.Repeat("x", long-7)
	first := openBody(s, long, part)
	s.eventually("it is read", func() bool { return s.bodies.used.Load() == long-firstBody })

	c := s.dial()
	r := c.do("POST", "/v1/keys/b", part)
	check(t, r, 503, `{"errorCode":503,"message":"Service Unavailable","cause":"the bodies of all requests under way are too large together; nothing was done. The limit is set by -max-body-memory"}`)
	if !r.close {
		t.Error("the answer does not say that the connection ends")
	}
	c.ended()
	c = s.dial()
	c.set("/b", "value="+strings.Repeat("x", firstBody-6))

	first.send("y")
	if r := first.reply("POST"); r.status != 200 || !strings.Contains(r.body, `xy"`) {
		t.Errorf("%d %.40s", r.status, r.body)
	}
	first.set("/a", part) // on a connection that goes on

	first = openBody(s, long, part)
	s.eventually("it is read", func() bool { return s.bodies.used.Load() == long-firstBody })
	_ = first.Close()
	s.eventually("what was not sent to its end is given back", func() bool { return s.bodies.used.Load() == 0 })
	c.set("/b", part)
	c.send("POST /v1/keys/b HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n%s\r\nx", urlencoded, strings.Repeat("x", 0xffff))
	check(t, c.reply("POST"), 400, `{"errorCode":400,"message":"Bad Request","cause":"the request cannot be read"}`)
	check(t, s.dial().get("/v1/keys/b?quorum=false"), 200, `{"action":"GET","key":"/b","value":"`+part[6:]+`","index":6}`)
	if n := s.bodies.used.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// Bodies around every size at which their memory grows come through whole.
func TestBodySizes(t *testing.T) {
	s := serve(t, func(c *Config) { c.MaxBodyMemory = 1 << 20 })
	c := s.dial()
	for _, n := range []int{7, firstBody - 1, firstBody, firstBody + 1, 2*firstBody - 1, 2 * firstBody, 2*firstBody + 1, 64<<10 - 1, 64 << 10} {
		value := strings.Repeat("0123456789", n/10+1)[:n-6]
		for _, chunk := range []int{0, 1000, n} {
			if chunk == 0 {
				c.send("%s", rawRequest("POST", "/v1/keys/a", "value="+value))
			} else {
				c.send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", urlencoded)
				for rest := "value=" + value; rest != ""; rest = rest[min(chunk, len(rest)):] {
					c.send("%x\r\n%s\r\n", min(chunk, len(rest)), rest[:min(chunk, len(rest))])
				}
				c.send("0\r\n\r\n")
			}
			if r := c.reply("POST"); r.status != 200 || !strings.Contains(r.body, `"value":"`+value+`"`) {
				t.Errorf("%d bytes in chunks of %d: %d %.60s", n, chunk, r.status, r.body)
			}
		}
	}
}
