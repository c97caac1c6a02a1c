package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// plainBinary is the server without the race detector, whose memory says nothing.
var plainBinary = sync.OnceValues(func() (string, error) {
	if !raceBuild {
		return binary, nil
	}
	path := filepath.Join(filepath.Dir(binary), "etcd-plain")
	out, err := exec.Command("go", "build", "-o", path, "etcd/cmd/etcd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// weighed is a server whose memory is watched, and a client of it that behaves well.
type weighed struct {
	*server
	stop  chan struct{}
	times chan []time.Duration
}

// weigh starts a server and a client that writes and reads a small key all the time.
func weigh(t *testing.T, args ...string) *weighed {
	t.Helper()
	path, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, args...)
	s.program, s.data = path, inMemory(t)
	s.env = append(s.env, "GOMEMLIMIT=", "GOGC=")
	s.start()
	return &weighed{server: s}
}

// behave has a client write and read a small key until the returned function is called, which reports how
// long requests have taken.
func (w *weighed) behave() (report func()) {
	w.stop, w.times = make(chan struct{}), make(chan []time.Duration, 1)
	go func() {
		var took []time.Duration
		c, err := dial(w.client)
		for err == nil {
			for _, r := range []request{put("/v2/keys/behaves", "value", "well"), get("/v2/keys/behaves")} {
				began := time.Now()
				var got reply
				if got, err = c.roundTrip(r); err == nil && got.status >= 400 {
					err = fmt.Errorf("%d %s", got.status, got.body)
				}
				took = append(took, time.Since(began))
			}
			select {
			case <-w.stop:
				c.Close()
				w.times <- took
				return
			case <-time.After(time.Millisecond):
			}
		}
		w.t.Errorf("a client that behaves well: %v", err)
		w.times <- took
	}()
	return func() {
		close(w.stop)
		took := <-w.times
		w.t.Logf("of %d requests of a client that behaves well the median took %v, p99 %v, the slowest %v",
			len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100))
	}
}

// memory returns a figure of /proc/PID/status in MiB.
func (w *weighed) memory(name string) int {
	w.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.proc.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				w.t.Fatal(err)
			}
			return n >> 10
		}
	}
	w.t.Fatalf("no %s", name)
	return 0
}

// deaf connects a client that sends requests and reads no answer, into a buffer that holds little.
func (w *weighed) deaf(requests ...request) *net.TCPConn {
	w.t.Helper()
	c, err := dial(w.client)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if err := c.tcp.SetReadBuffer(4 << 10); err != nil {
		w.t.Fatal(err)
	}
	if err := c.send(requests...); err != nil {
		w.t.Fatal(err)
	}
	return c.tcp
}

// set is a request to set a key to a value that is sent as it is.
func set(method, target, value string) request {
	return request{method: method, target: target, header: [][2]string{{"Content-Type", formType}}, body: []byte("value=" + value)}
}

const large = 10<<20 - 100

// fill makes keys in a directory.
func (w *weighed) fill(dir string, keys int, value string) {
	w.t.Helper()
	const conns, pipelined = 16, 32
	var clients sync.WaitGroup
	for i := range conns {
		c := w.dial()
		clients.Go(func() {
			for key := i; key < keys; key += conns * pipelined {
				var batch bytes.Buffer
				n := 0
				for ; n < pipelined && key+n*conns < keys; n++ {
					batch.Write(set("PUT", fmt.Sprintf("/v2/keys%s/%07d", dir, key+n*conns), value).encode(w.client))
				}
				_, err := c.Write(batch.Bytes())
				for range n {
					if err == nil {
						_, err = c.receive("PUT")
					}
				}
				if err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func TestExperimentB(t *testing.T) {
	w := weigh(t, "--enable-pprof")
	w.fill("/d", 300_000, "0123456789abcdef")
	t.Logf("RSS %d", w.memory("VmRSS"))
	report := w.behave()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 40 {
		c := w.deaf(get("/v1/keys/d"))
		wg.Go(func() {
			p := make([]byte, 16<<10)
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
				}
				if _, err := c.Read(p); err != nil {
					return
				}
			}
		})
	}
	began := time.Now()
	for i := range 10 {
		w.fill("/d", 300_000, "0123456789abcde"+strconv.Itoa(i))
		t.Logf("%v RSS %d HWM %d views %s", time.Since(began), w.memory("VmRSS"), w.memory("VmHWM"), w.do(get("/v1/stats/store")).body)
		if i == 0 {
			os.WriteFile("/tmp/answers/heap.pprof", []byte(w.do(get("/debug/pprof/heap")).body), 0o644)
		}
		if time.Since(began) > 35*time.Second {
			break
		}
	}
	close(done)
	wg.Wait()
	for range 20 {
		time.Sleep(1 * time.Second)
		t.Logf("RSS %d HWM %d", w.memory("VmRSS"), w.memory("VmHWM"))
	}
	report()
}

func TestExperimentA(t *testing.T) {
	w := weigh(t)
	for _, target := range []string{"/v1/watch/a", "/v2/keys/a?wait=true", "/v1/watch/a?stream=true"} {
		for range 25 {
			w.deaf(get(target))
		}
	}
	w.waitWatchers(75)
	report := w.behave()
	w.do(set("POST", "/v1/keys/a", strings.Repeat("<", large)))
	for range 10 {
		time.Sleep(500 * time.Millisecond)
		t.Logf("RSS %d HWM %d", w.memory("VmRSS"), w.memory("VmHWM"))
	}
	report()
}
