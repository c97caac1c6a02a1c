package httpfront_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// A request that comes in many parts gets the answer that it gets as a whole, and so does the next.
func TestRequestsInParts(t *testing.T) { inAllModes(t, testRequestsInParts) }

func testRequestsInParts(t *testing.T, serve server) {
	s := serve(t)
	const form = "Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	large := "value=" + strings.Repeat("x", 40<<10)
	for _, test := range []struct {
		name, request string
		status        int
		answer        string
		ends          bool
	}{
		{"direct", fronttest.RawRequest("GET", "/v1/keys/a?quorum=false", ""), 200, `"value":"1"`, false},
		{"not direct", fronttest.RawRequest("GET", "/machines", ""), 200, "127.0.0.1", false},
		{"with a body", fronttest.RawRequest("POST", "/v1/keys/b", "value=1"), 200, `"value":"1"`, false},
		{"with a larger body", fronttest.RawRequest("POST", "/v1/keys/b", large[:9<<10]), 200, "xxx", false},
		{"with a body that does not stay parked", fronttest.RawRequest("POST", "/v1/keys/b", large), 200, "xxx", false},
		{"chunked", "POST /v1/keys/b HTTP/1.1\r\n" + form + "Transfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 200, `"value":"1"`, false},
		{"HTTP/1.0", "POST /v1/keys/b HTTP/1.0\r\n" + form + "Connection: keep-alive\r\nContent-Length: 7\r\n\r\nvalue=1", 200, `"value":"1"`, false},
		{"empty lines before it", "\r\n\r\n\r\n" + fronttest.RawRequest("GET", "/version", ""), 200, "etcd", false},
		{"long header", "GET /version HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 10<<10) + "\r\n\r\n", 200, "etcd", false},
		{"too long a header", "GET /version HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", httpfront.MaxHeader) + "\r\n\r\n", 431, "too long", true},
		{"too long a body", "POST /v1/keys/b HTTP/1.1\r\n" + form + "Content-Length: 100000\r\n\r\nv", 413, "-max-body", true},
		{"two lengths", "POST /v1/keys/b HTTP/1.1\r\n" + form + "Content-Length: 7\r\nContent-Length: 8\r\n\r\nvalue=1", 400, "", true},
		{"a bare LF", "GET /version HTTP/1.1\r\nHost: x\nX: x\r\n\r\n", 400, "bare LF", true},
		{"no name of a header", "GET /version HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n", 400, "", true},
		{"no method", "HTTP/1.1\r\nHost: x\r\n\r\n", 400, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.Dial()
			c.Set("/a", "value=1") // so it is parked, in all modes
			for rest := test.request; rest != ""; {
				part := rest[:min(len(rest), max(1, len(test.request)/20))]
				c.Send("%s", part)
				rest = rest[len(part):]
				runtime.Gosched()
			}
			if r := c.Reply("GET"); r.Status != test.status || !strings.Contains(r.Body, test.answer) || r.Close != test.ends {
				t.Errorf("%d %.200s, closes %v; want %d and %q", r.Status, r.Body, r.Close, test.status, test.answer)
			}
			if test.ends {
				c.WantClosed()
				return
			}
			fronttest.Check(t, c.Get("/"), 200, "etcd v9")
		})
	}
}

// Clients that have sent a part of a request, and nothing since, have no goroutine, in whatever part
// they have stopped. Over TLS they may stop in the handshake as well, which takes one.
func TestPartsHaveNoGoroutine(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"plain": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, mode)
			parts := []string{
				"GET /v1/keys/none?quorum=f", "POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 6<<10),
				"POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\nvalue=",
			}
			rests := []string{"alse HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", strings.Repeat("x", 60000-len("value="))}
			statuses := []int{404, 400, 200}
			const many = 40
			before := runtime.NumGoroutine()
			var clients []*fronttest.Client
			for range many {
				for _, part := range parts {
					c := s.Dial()
					c.Send("%s", part)
					clients = append(clients, c)
				}
			}
			s.Eventually("the goroutines end", func() bool {
				return s.Open() > int64(len(clients)) && runtime.NumGoroutine() < before+many/2
			})
			for i, c := range clients {
				c.Send("%s", rests[i%len(rests)])
				if r := c.Reply("GET"); r.Status != statuses[i%len(rests)] {
					t.Fatalf("%d %.200s, want %d", r.Status, r.Body, statuses[i%len(rests)])
				}
			}
		})
	}
}

// A request that does not arrive in time is answered with a 408 that says which time that was.
func TestSlowRequestsAreCutOff(t *testing.T) { inAllModes(t, testSlowRequestsAreCutOff) }

func testSlowRequestsAreCutOff(t *testing.T, serve server) {
	s := serve(t, func(c *httpfront.Config) { c.HeaderTimeout, c.BodyTimeout = 300*time.Millisecond, 300*time.Millisecond })
	const post = "POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	clients := map[string]*fronttest.Client{}
	for _, part := range []string{
		"GET /v1/keys", "\r\nG", post + "Content-Length: 7\r\n\r\nvalue",
		fronttest.RawRequest("GET", "/v1/keys/x", "") + "GET ", fronttest.RawRequest("GET", "/machines", "") + "GET ",
		post + "Transfer-Encoding: chunked\r\n\r\n1\r\nv\r\n", post + "Content-Length: 60000\r\n\r\n" + strings.Repeat("x", 30_000),
		post + "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n",
	} {
		clients[part] = s.Dial()
		clients[part].Send("%s", part)
	}
	for part, c := range clients {
		r := c.Reply("GET")
		for r.Status != 408 && !r.Close {
			r = c.Reply("GET")
		}
		if r.Status != 408 || !strings.Contains(r.Body, "the limit is set by -header-timeout") && !strings.Contains(r.Body, "the limit is set by -body-timeout") {
			t.Errorf("%.80q: %d %s", part, r.Status, r.Body)
		}
		c.WantClosed()
	}
	if s.TLS == nil { // otherwise it has to begin with a handshake
		fronttest.Check(t, s.Dial().Reply("GET"), 408, `{"errorCode":408,"message":"Request Timeout","cause":"the request did not arrive in time; the limit is set by -header-timeout"}`)
	}
}

// A client that closes only its sending side gets the answers to what it has sent.
func TestOneDirectionClosed(t *testing.T) { inAllModes(t, testOneDirectionClosed) }

func testOneDirectionClosed(t *testing.T, serve server) {
	s := serve(t)
	s.Dial().Set("/a", "value=1")
	type half interface{ CloseWrite() error }
	for name, request := range map[string]string{
		"direct": fronttest.RawRequest("GET", "/v1/keys/a", ""), "not direct": fronttest.RawRequest("GET", "/machines", ""),
		"two": fronttest.RawRequest("GET", "/v1/keys/a", "") + fronttest.RawRequest("GET", "/machines", ""),
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Dial()
			c.Send("%s", request)
			if err := c.Conn.(half).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			for range strings.Count(request, "Host:") {
				if r := c.Reply("GET"); r.Status != 200 {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
			c.WantClosed()
		})
	}
	t.Run("half a request", func(t *testing.T) {
		c := s.Dial()
		c.Send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nval")
		if err := c.Conn.(half).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if r := c.Reply("POST"); r.Status != 400 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		c.WantClosed()
	})
	t.Run("a watch", func(t *testing.T) { // it looks like a client that has gone
		c := s.Dial()
		c.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
		s.WaitForWatchers(1)
		if err := c.Conn.(half).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		s.WaitForWatchers(0)
		c.WantClosed()
	})
}

// One address has its share of the connections, and others theirs.
func TestConnectionsOfOneAddress(t *testing.T) { inAllModes(t, testConnectionsOfOneAddress) }

func testConnectionsOfOneAddress(t *testing.T, serve server) {
	s := serve(t, func(c *httpfront.Config) { c.MaxConnections, c.MaxPerAddress = 5, 2 })
	from := func(ip string) *fronttest.Client {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		conn, err := dialer.Dial("tcp", s.Addr)
		if err != nil {
			t.Skipf("no second loopback address: %v", err)
		}
		return s.Over(conn)
	}
	own := []*fronttest.Client{from("127.0.0.1"), from("127.0.0.1")}
	for _, c := range own {
		fronttest.Check(t, c.Get("/"), 200, "etcd v9")
	}
	const want = `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections from this address; the limit is set by -max-connections-per-address"}`
	for range 2 {
		c := from("127.0.0.1")
		fronttest.Check(t, c.Reply("GET"), 503, want)
		c.WantClosed()
	}
	fronttest.Check(t, from("127.0.0.2").Get("/"), 200, "etcd v9")
	fronttest.Check(t, own[0].Get("/"), 200, "etcd v9")
	if n := s.Refused(); n != 2 {
		t.Errorf("%d refusals were counted, want 2", n)
	}
	if log := s.Log.Take(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "-max-connections-per-address") || !strings.Contains(log, "host=127.0.0.1 limit=2") {
		t.Errorf("two refusals logged:\n%s", log)
	}
	_ = own[1].Close()
	for deadline := time.Now().Add(fronttest.Timeout); s.Open() > 2; own[0].Get("/") {
		if time.Now().After(deadline) {
			t.Fatal("a closed connection is still counted")
		}
	}
	fronttest.Check(t, from("127.0.0.1").Get("/"), 200, "etcd v9")
}

// Of clients whose request takes a goroutine until it has arrived, so many are waited for at a time; one
// more, and the one that waits longest is told so.
func TestStalledClients(t *testing.T) { inAllModes(t, testStalledClients) }

func testStalledClients(t *testing.T, serve server) {
	s := serve(t)
	const more = 20
	clients := make([]*fronttest.Client, httpfront.MaxStalled+more)
	for i := range clients {
		clients[i] = s.Dial()
		clients[i].Send("POST /v1/keys/a%d HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n", i)
	}
	replies := make(chan fronttest.Reply, len(clients))
	for _, c := range clients {
		go func() {
			r, _ := fronttest.ReadReply(c.In, "POST") // without one, its status is wrong
			replies <- r
		}()
	}
	for range more {
		if r := <-replies; r.Status != 408 || !strings.Contains(r.Body, "this one has waited longest") {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	for _, c := range clients {
		_, _ = c.Write([]byte("0\r\n\r\n")) // some are closed
	}
	for range httpfront.MaxStalled {
		if r := <-replies; r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
}

// A connection of empty lines without end holds up nobody, and ends.
func TestEmptyLinesWithoutEnd(t *testing.T) { inAllModes(t, testEmptyLinesWithoutEnd) }

func testEmptyLinesWithoutEnd(t *testing.T, serve server) {
	s := serve(t)
	others := []*fronttest.Client{s.Dial(), s.Dial()} // of each of two pollers
	others[0].Set("/a", "value=1")
	for _, begin := range []string{"", fronttest.RawRequest("GET", "/v1/keys/a", ""), "GET /v1/keys/a HTT"} {
		c := s.Dial()
		c.Send("%s", begin)
		rest := ""
		switch {
		case strings.HasSuffix(begin, "\n"):
			c.Reply("GET")
		case begin != "":
			rest = "P/1.1\r\nHost: x\r\n\r\n"
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = c.Write([]byte(rest + strings.Repeat("\n", 1<<20))) // the server has enough before the end
		}()
		for _, other := range others {
			fronttest.Check(t, other.Get("/"), 200, "etcd v9")
		}
		if rest != "" {
			c.Reply("GET")
		}
		// What was sent behind the end may have the connection reset.
		if got, err := io.ReadAll(c.In); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("behind %q the connection goes on with %q, %v; want its end", begin, got, err)
		}
		<-sent
	}
}

// An empty line behind a request, as some clients send, does not begin the next one: the connection is
// idle, which it may be for longer than a request may take to arrive.
func TestEmptyLineBehindARequest(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"plain": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, mode, func(c *httpfront.Config) { c.HeaderTimeout = 300 * time.Millisecond })
			together, apart := s.Dial(), s.Dial()
			together.Send("%s\r\n", fronttest.RawRequest("POST", "/v1/keys/a", "value=1"))
			together.Reply("POST")
			apart.Set("/a", "value=1")
			apart.Send("\r\n")
			later := s.Dial()
			later.Send("GET ")
			if r := later.Reply("GET"); r.Status != 408 {
				t.Fatalf("%d %s, want 408", r.Status, r.Body)
			}
			for _, c := range []*fronttest.Client{together, apart} {
				fronttest.Check(t, c.Get("/"), 200, "etcd v9")
			}
		})
	}
}
