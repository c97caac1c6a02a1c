package e2e

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// perSlowClient is what docs/operations.md#limits says that a client which has stopped somewhere in
// its request costs, in bytes: less than 6 KiB, and as much again until it is collected.
const perSlowClient = 12 << 10

// Ten thousand clients that stop, wherever they do, take little memory and no goroutines, and another
// client is served meanwhile. A last one has more to send, so all of them were waited for.
func TestSlowClients(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	const reserved = 1000
	if files.Cur < 3*reserved {
		t.Skipf("the limit of open files (ulimit -n) is %d: too few clients to see what one costs", files.Cur)
	}
	many := min(10_000, int(files.Cur-reserved)*7/8)
	s := weigh(t)
	before := s.memory("VmRSS")
	const form = "Host: x\r\nContent-Type: " + formType + "\r\n"
	for _, phase := range []struct{ name, sent, more, rest string }{
		{"nothing", "", "", "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"half a header", "GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 60), "x", "\r\n\r\n"},
		{"half a body", "PUT /v2/keys/a HTTP/1.1\r\n" + form + "Content-Length: 1048576\r\n\r\nvalue=xxxx", "x", strings.Repeat("x", 1<<20-len("value=xxxxx"))},
	} {
		t.Run(phase.name, func(t *testing.T) {
			beside := s.bystander(0, put("/v2/keys/beside", "value", "1"))
			conns := make([]net.Conn, many)
			t.Cleanup(func() {
				for _, c := range conns {
					if c != nil {
						_ = c.Close()
					}
				}
				waitUntil(t, "they have ended", func() bool { return s.metric(`etcd_http_connections{port="client",protocol="http"}`) < 10 })
			})
			var dialers sync.WaitGroup
			for d := range 8 {
				dialers.Go(func() {
					for i := d; i < many; i += 8 {
						c, err := net.Dial("tcp", s.client)
						if err == nil {
							conns[i] = c
							_, err = c.Write([]byte(phase.sent))
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			dialers.Wait()
			for range len(phase.more) {
				for _, c := range conns {
					if _, err := c.Write([]byte(phase.more)); err != nil {
						t.Fatal(err)
					}
				}
			}
			last := conns[many-1]
			if _, err := last.Write([]byte(phase.rest)); err != nil {
				t.Fatal(err)
			}
			if err := last.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, len("HTTP/1.1 200"))
			if n, err := last.Read(answer); err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 20")) {
				t.Errorf("the last one is told %q, %v", answer[:n], err)
			}
			waitUntil(t, "all are open, and have no goroutine", func() bool {
				return s.metric(`etcd_http_connections{port="client",protocol="http"}`) >= float64(many) && s.metric("go_goroutines") < 200
			})
			grown := s.memory("VmRSS") - before
			t.Logf("%d clients: %d bytes of RSS each", many, grown/many)
			beside.report("them")
			if most := many * perSlowClient; grown > most {
				t.Errorf("%d clients that have sent %s take %d bytes, want at most %d", many, phase.name, grown, most)
			}
		})
	}
}
