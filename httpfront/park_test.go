package httpfront_test

import (
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// A connection that sends no request for a while, and one whose watch waits, have no goroutine.
// They go on when something arrives.
func TestParkedConnectionsHaveNoGoroutine(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"plain": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, mode)
			const many = 100
			before := runtime.NumGoroutine()
			var idle, watching []*fronttest.Client
			for range many {
				c := s.Dial()
				fronttest.Check(t, c.Get("/"), 200, "etcd v9")
				idle = append(idle, c)
				c = s.Dial()
				c.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
				watching = append(watching, c)
			}
			s.WaitForWatchers(many)
			s.Eventually("the goroutines end", func() bool { return runtime.NumGoroutine() < before+many/2 })
			want := s.Dial().Set("/a", "value=1")
			for range 2 {
				for i, c := range idle {
					fronttest.Check(t, c.Get("/"), 200, "etcd v9")
					if want != "" {
						fronttest.Check(t, watching[i].Reply("GET"), 200, want)
					}
					fronttest.Check(t, watching[i].Get("/"), 200, "etcd v9")
				}
				want = ""
				s.Eventually("the goroutines end again", func() bool { return runtime.NumGoroutine() < before+many/2 })
			}
		})
	}
}

// Parked clients that send half of a request hold up no others.
func TestHalfRequestsOfParkedConnections(t *testing.T) {
	s := serve(t)
	clients := make([]*fronttest.Client, 4*httpfront.MaxWaking)
	for i := range clients {
		clients[i] = s.Dial()
		clients[i].Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
	}
	s.WaitForWatchers(int64(len(clients)))
	want := s.Dial().Set("/a", "value=1")
	for _, c := range clients {
		fronttest.Check(t, c.Reply("GET"), 200, want)
	}
	for _, c := range clients[1:] {
		c.Send("GET /v1/lea")
	}
	fronttest.Check(t, clients[0].Get("/"), 200, "etcd v9")
	for _, c := range clients[1:] {
		c.Send("der HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	for _, c := range clients[1:] {
		fronttest.Check(t, c.Reply("GET"), 200, "http://127.0.0.1:7001")
	}
}

// Clients that wait for the machine, or do not read their answers, hold up no others.
func TestWaitingClientsHoldUpNobody(t *testing.T) {
	clock := fronttest.NewClock()
	machine := fronttest.StartMachine(t, clock.Reading)
	cfg := fronttest.Config()
	cfg.RequestTimeout, cfg.Log = fronttest.Timeout, slog.New(slog.DiscardHandler)
	cfg.MaxBody, cfg.MaxBodyMemory = 16<<20, 64<<20
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), cfg, clientRoutes(clock))
	clients := make([]*fronttest.Client, 2*httpfront.MaxWaking)
	for i := range clients {
		clients[i] = s.Dial()
		clients[i].Send("%s", fronttest.RawRequest("GET", "/v1/keys/a", ""))
	}
	fronttest.Check(t, s.Dial().Get("/"), 200, "etcd v9")
	s.Attach(machine)
	for _, c := range clients {
		if r := c.Reply("GET"); r.Status != 404 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	large := "value=" + strings.Repeat("x", 6<<20) // more than the buffers of a socket hold, if its client's is small
	if r := s.Dial().Do("POST", "/v1/keys/a", large); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for range 20 { // so that local reads wait for nothing
		clients[len(clients)-1].Get("/v1/keys/a?quorum=false")
	}
	for _, c := range clients[:httpfront.MaxWaking] {
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
		c.Send("GET /v1/keys/a?quorum=false HTTP/1.0\r\n\r\n")
	}
	for _, c := range clients[httpfront.MaxWaking:] {
		fronttest.Check(t, c.Get("/"), 200, "etcd v9")
	}
}

// A watcher that never reads costs the others nothing: they get every event, and it gets what
// was sent when it reads after all.
func TestAWatcherThatDoesNotRead(t *testing.T) { inAllModes(t, testAWatcherThatDoesNotRead) }

func testAWatcherThatDoesNotRead(t *testing.T, serve server) {
	s := serve(t, func(c *httpfront.Config) { c.MaxBody, c.MaxBodyMemory = 16<<20, 64<<20 })
	watching := fronttest.RawRequest("GET", "/v1/watch/a", "")
	deaf, other, writer := s.Dial(), s.Dial(), s.Dial()
	deaf.Send("%s", watching)
	other.Send("%s", watching)
	s.WaitForWatchers(2)
	large := strings.Repeat("x", 12<<20) // more than the buffers of a socket hold
	first := writer.Set("/a", "value="+large)
	fronttest.Check(t, other.Reply("GET"), 200, first)
	for i := range 5 {
		other.Send("%s", watching)
		s.WaitForWatchers(1)
		want := writer.Set("/a", fmt.Sprintf("value=%d", i))
		fronttest.Check(t, other.Reply("GET"), 200, want)
	}
	fronttest.Check(t, deaf.Reply("GET"), 200, first)
	fronttest.Check(t, deaf.Get("/"), 200, "etcd v9")
}
