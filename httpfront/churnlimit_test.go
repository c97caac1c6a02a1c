package httpfront_test

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// Clients at the limit of connections that begin and leave watches at random leave no watcher and no
// connection behind.
func TestChurnAtTheLimit(t *testing.T) { inAllModes(t, testChurnAtTheLimit) }

func testChurnAtTheLimit(t *testing.T, serve server) {
	const limit, each = 5, 40
	s := serve(t, func(c *httpfront.Config) { c.MaxConnections, c.Log = limit, slog.New(slog.DiscardHandler) })
	requests := []string{
		fronttest.RawRequest("GET", "/v1/watch/b", ""), fronttest.RawRequest("GET", "/v1/watch/b?timeout=1ms", ""),
		fronttest.RawRequest("GET", "/v1/watch/b?stream=true", ""), fronttest.RawRequest("POST", "/v1/keys/b", "value=1"),
		fronttest.RawRequest("GET", "/machines", ""), "GET /v1/watch/b",
	}
	var clients sync.WaitGroup
	for worker := range 3 * limit {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(16, uint64(worker)))
			for range each {
				conn, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				c := s.Over(conn)
				for range 1 + rnd.IntN(3) {
					_, _ = io.WriteString(c, requests[rnd.IntN(len(requests))]) // it may be refused
					if rnd.IntN(2) == 0 {
						_ = conn.SetReadDeadline(time.Now().Add(time.Duration(rnd.IntN(5)) * time.Millisecond))
						_, _ = c.Read(make([]byte, 100))
					}
				}
				switch rnd.IntN(3) {
				case 0:
					_ = conn.(*net.TCPConn).SetLinger(0)
				case 1:
					_ = conn.(*net.TCPConn).CloseWrite()
				}
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	for deadline := time.Now().Add(fronttest.Timeout); s.Open() > 0 || s.Machine.Watchers() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections and %d watchers are left", s.Open(), s.Machine.Watchers())
		}
	}
}
