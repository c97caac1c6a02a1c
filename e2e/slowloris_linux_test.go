package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// perSlowClient is what docs/operations.md#limits says that a client which has stopped somewhere in
// its request costs, in bytes.
const perSlowClient = 6 << 10

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
	s := startServer(t)
	before := s.resident(t)
	const form = "Host: x\r\nContent-Type: " + formType + "\r\n"
	for _, phase := range []struct{ name, sent, more, rest string }{
		{"nothing", "", "", "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"half a header", "GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 60), "x", "\r\n\r\n"},
		{"half a body", "PUT /v2/keys/a HTTP/1.1\r\n" + form + "Content-Length: 1048576\r\n\r\nvalue=xxxx", "x", strings.Repeat("x", 1<<20-len("value=xxxxx"))},
	} {
		t.Run(phase.name, func(t *testing.T) {
			beside := newBystander(t, s)
			conns := make([]net.Conn, many)
			t.Cleanup(func() {
				for _, c := range conns {
					if c != nil {
						_ = c.Close()
					}
				}
				waitUntil(t, "they have ended", func() bool { return s.metric(t, `etcd_http_connections{port="client",protocol="http"}`) < 10 })
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
				return s.metric(t, `etcd_http_connections{port="client",protocol="http"}`) >= float64(many) && s.metric(t, "go_goroutines") < 200
			})
			grown := s.resident(t) - before
			t.Logf("%d clients: %d bytes of RSS each; beside them %s", many, grown/many, beside.stop())
			if most := many * perSlowClient; grown > most && !raceBuild { // which takes several times the memory
				t.Errorf("%d clients that have sent %s take %d bytes, want at most %d", many, phase.name, grown, most)
			}
		})
	}
}

// bystander is a client that writes one key after the other.
type bystander struct {
	over  chan struct{}
	ended chan string
}

func newBystander(t *testing.T, s *server) *bystander {
	t.Helper()
	c, err := dial(s.client)
	if err != nil {
		t.Fatal(err)
	}
	b := &bystander{make(chan struct{}), make(chan string, 1)}
	go func() {
		defer c.Close()
		var took []time.Duration
		for {
			select {
			case <-b.over:
				slices.Sort(took)
				b.ended <- fmt.Sprintf("%d writes, p99 %s", len(took), took[len(took)*99/100])
				return
			default:
			}
			start := time.Now()
			r, err := c.roundTrip(put("/v2/keys/beside", "value", "1"))
			if err != nil || r.status >= 300 {
				t.Errorf("beside slow clients a write gets %d %s, %v", r.status, r.body, err)
				b.ended <- "nothing"
				return
			}
			took = append(took, time.Since(start))
		}
	}()
	return b
}

// stop returns how its writes have gone.
func (b *bystander) stop() string {
	close(b.over)
	return <-b.ended
}

// metric returns the value of a series; 0: there is none.
func (s *server) metric(t *testing.T, series string) float64 {
	t.Helper()
	r, err := exchange(s.client, get("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindStringSubmatch(r.body)
	if m == nil {
		return 0
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// resident returns how much memory of the process is resident, in bytes.
func (s *server) resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.proc.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		t.Fatal("the kernel does not say how much memory is resident")
	}
	kib, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
