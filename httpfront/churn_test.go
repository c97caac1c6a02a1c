package httpfront_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// Connections that are reset, at whatever stage of a request, leak nothing: no goroutine,
// descriptor, session, watcher, or byte that is counted as a body's.
func TestResetsLeaveNothing(t *testing.T) { inAllModes(t, testResetsLeaveNothing) }

func testResetsLeaveNothing(t *testing.T, serve server) {
	s := serve(t)
	mode := func(*httpfront.Config) {}
	connections := 3000
	if s.TLS != nil {
		mode, connections = fronttest.WithTLS, 600 // a handshake takes long
	}
	p := servePeerPort(t, s, io.Discard, mode)
	const few = 5 // of the test itself: its connection, and the goroutine that looks for idle workers
	const form = "Host: x\r\nContent-Type: " + httpfront.TypeForm + "\r\n"
	stages := []struct {
		sent    string
		answers bool
	}{
		{"", false},
		{"\x16\x03\x01", false},
		{"POST /v1/ke", false},
		{"POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Le", false},
		{"POST /v1/keys/a HTTP/1.1\r\n" + form + "Content-Length: 60000\r\n\r\nvalue=1", false},
		{"POST /v1/keys/a HTTP/1.1\r\n" + form + "Transfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n", false},
		{"POST /v1/keys/a HTTP/1.1\r\n" + form + "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n", true},
		{fronttest.RawRequest("GET", "/v1/watch/b", ""), false},
		{fronttest.RawRequest("GET", "/v1/watch/b", "") + fronttest.RawRequest("GET", "/v1/keys/", ""), false},
		{fronttest.RawRequest("POST", "/v1/keys/a", "value=1"), true},
		{fronttest.RawRequest("GET", "/v1/keys/", "") + fronttest.RawRequest("GET", "/machines", "") + "GET /", true},
		{"POST /v1/keys/a HTTP/1.1\r\n" + form + "Content-Length: 20000000\r\n\r\nvalue=1", true},
		{"GET / HTTP/2.0\r\n\r\n", true},
		{fronttest.RawRequest("POST", "/join", "{}"), true},
		{"GET /raft/stream HTTP/1.1\r\nHost: x\r\nUpgrade: etcd-raft\r\nConnection: Upgrade\r\n\r\n", true},
	}
	held := func() (goroutines, files, actors int) {
		for _, bucket := range s.Machine.System.ProcessRegistry.LocalPIDs.LocalPIDs {
			actors += bucket.Count()
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			open = nil // not every system has it
		}
		return runtime.NumGoroutine(), len(open), actors
	}
	quiet := func() bool {
		return s.Open() == 1 && p.Open() == 0 && s.Machine.Watchers() == 0 && s.BodyBytes() == 0 && p.BodyBytes() == 0
	}
	churn := func(n int) {
		var clients sync.WaitGroup
		for worker := range 8 {
			clients.Go(func() {
				for i := worker; i < n; i += 8 {
					port := s
					if i%3 == 0 {
						port = p
					}
					raw, err := net.Dial("tcp", port.Addr)
					if err != nil {
						t.Error(err)
						return
					}
					c := raw
					if s.TLS != nil && i%5 > 0 {
						cfg := s.TLS.Clone()
						cfg.ServerName = "127.0.0.1"
						c = tls.Client(raw, cfg)
					}
					stage := stages[i/3%len(stages)]
					_, _ = io.WriteString(c, stage.sent) // it may be refused already
					if stage.answers && i%2 == 0 {
						_, _ = c.Read(make([]byte, 1))
					}
					_ = raw.(*net.TCPConn).SetLinger(0)
					_ = raw.Close()
				}
			})
		}
		clients.Wait()
		s.Eventually("nothing is open", quiet)
	}
	churn(connections / 10) // so that whatever is started only once is running
	goroutines, files, actors := held()
	churn(connections)
	s.Eventually("no more is held than before", func() bool {
		nowGoroutines, nowFiles, nowActors := held()
		return nowGoroutines <= goroutines+few && nowFiles <= files+few && nowActors <= actors+few
	})
}
