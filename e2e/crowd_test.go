package e2e

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

var (
	crowdTime = flag.Duration("crowd", 5*time.Second, "how long the crowd of TestCrowd misbehaves at each cluster")
	crowdSeed = flag.Uint64("crowd.seed", 0, "seed of TestCrowd, 0 for a new one each run")
)

const (
	crowdSize = 500
	// crowdPause is the longest pause of one of them. A crowd without any is a benchmark of the host.
	crowdPause = 2 * time.Second
)

// crowd is many clients that misbehave at random.
type crowd struct {
	servers []*server
	stop    chan struct{}
	clients sync.WaitGroup
	acts    atomic.Int64
}

// startCrowd starts so many clients of the machines.
func startCrowd(servers []*server, size int, seed uint64) *crowd {
	c := &crowd{servers: servers, stop: make(chan struct{})}
	for id := range size {
		rng := rand.New(rand.NewPCG(seed, uint64(id)))
		c.clients.Go(func() {
			for c.pause(rng, crowdPause) {
				c.misbehave(rng)
			}
		})
	}
	return c
}

// finish ends the crowd, whose connections are all reset.
func (c *crowd) finish() {
	close(c.stop)
	c.clients.Wait()
}

// pause waits for a random time, and reports whether the crowd goes on.
func (c *crowd) pause(rng *rand.Rand, most time.Duration) bool {
	select {
	case <-c.stop:
		return false
	case <-time.After(time.Duration(rng.Int64N(int64(most)))):
		return true
	}
}

// misbehave does one thing on a connection of its own, which it then resets or closes.
func (c *crowd) misbehave(rng *rand.Rand) {
	address := c.servers[rng.IntN(len(c.servers))].client
	act := misdeeds[rng.IntN(len(misdeeds))]
	var m *misdeed
	if act.raw {
		raw, err := net.DialTimeout("tcp", address, waitLimit)
		if err != nil {
			return
		}
		m = &misdeed{raw, raw.(*net.TCPConn), c, rng}
	} else {
		conn, err := dial(address)
		if err != nil {
			return
		}
		m = &misdeed{conn.Conn, conn.tcp, c, rng}
	}
	defer m.Close()
	_ = m.SetDeadline(time.Now().Add(2 * time.Second))
	act.do(m)
	m.crowd.acts.Add(1)
	if rng.IntN(4) > 0 {
		_ = m.tcp.SetLinger(0)
	} else {
		_ = m.tcp.CloseWrite() // and no answer is read
	}
}

// misdeed is a connection on which somebody misbehaves. Its writes may fail: the server may have
// had enough.
type misdeed struct {
	net.Conn
	tcp   *net.TCPConn
	crowd *crowd
	rng   *rand.Rand
}

func (m *misdeed) say(s string) { _, _ = io.WriteString(m, s) }

func (m *misdeed) hear(n int) { _, _ = io.ReadFull(m, make([]byte, n)) }

// request encodes a request for a random key of the crowd.
func (m *misdeed) request(r request) string {
	r.target = strings.Replace(r.target, "KEY", "crowd/"+strconv.Itoa(m.rng.IntN(50)), 1)
	return string(r.encode("localhost"))
}

// cut returns the beginning of s, and at least a byte less.
func (m *misdeed) cut(s string) string { return s[:m.rng.IntN(len(s))] }

var misdeeds = []struct {
	name string
	raw  bool // without TLS, whatever the server speaks
	do   func(m *misdeed)
}{
	{"half a request", false, func(m *misdeed) { m.say(m.cut(m.request(post("/v1/keys/KEY", "value", "1")))) }},
	{"half a request, slowly", false, func(m *misdeed) {
		for _, b := range m.cut(m.request(put("/v2/keys/KEY", "value", "1", "ttl", "1"))) {
			m.say(string(b))
			if !m.crowd.pause(m.rng, 20*time.Millisecond) {
				return
			}
		}
	}},
	{"half a body", false, func(m *misdeed) {
		m.say("PUT /v2/keys/crowd/half HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nvalue=" + strings.Repeat("x", m.rng.IntN(90_000)))
	}},
	{"too long a body", false, func(m *misdeed) {
		m.say("PUT /v2/keys/crowd/long HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 200000000\r\n\r\nvalue=")
		m.say(strings.Repeat("x", 200_000))
	}},
	{"endless chunks", false, func(m *misdeed) {
		m.say("PUT /v2/keys/crowd/chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("a", 50)+"\r\nx\r\n", m.rng.IntN(2000)))
	}},
	{"an answer that nobody reads", false, func(m *misdeed) { m.say(m.request(get("/v2/keys/?recursive=true"))) }},
	{"a slow reader", false, func(m *misdeed) {
		m.say(strings.Repeat(m.request(get("/v2/keys/crowd/large")), 20))
		for range 10 {
			m.hear(1000)
			if !m.crowd.pause(m.rng, 50*time.Millisecond) {
				return
			}
		}
	}},
	{"a flood", false, func(m *misdeed) {
		m.say(strings.Repeat(m.request(get("/v1/keys/KEY?quorum=false")), 50))
		m.hear(m.rng.IntN(1000))
	}},
	{"a flood of writes", false, func(m *misdeed) {
		m.say(strings.Repeat(m.request(post("/v1/keys/KEY", "value", "1", "ttl", "1")), 10))
	}},
	{"a watch", false, func(m *misdeed) {
		m.say(m.request(get("/v2/keys/KEY?wait=true&recursive=true")))
		m.crowd.pause(m.rng, 300*time.Millisecond)
	}},
	{"a stream", false, func(m *misdeed) {
		m.say(m.request(get("/v2/keys/crowd?wait=true&stream=true&recursive=true")))
		m.hear(m.rng.IntN(2000))
	}},
	{"a watch and more than it may send", false, func(m *misdeed) {
		m.say(m.request(get("/v1/watch/none")) + strings.Repeat("x", m.rng.IntN(10_000)))
	}},
	{"a watch from too long ago", false, func(m *misdeed) { m.say(m.request(get("/v2/keys/crowd?wait=true&waitIndex=1&recursive=true"))) }},
	{"a wrong password", false, func(m *misdeed) {
		r := get("/v2/keys/KEY").as("user" + strconv.Itoa(m.rng.IntN(1000)))
		m.say(m.request(r))
		m.hear(12)
	}},
	{"a wrong password of root", false, func(m *misdeed) {
		m.say("GET /v2/auth/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic cm9vdDp3cm9uZw==\r\n\r\n")
		m.hear(12)
	}},
	{"garbage behind requests", false, func(m *misdeed) {
		m.say(strings.Repeat(m.request(get("/v1/keys/KEY")), 3) + m.noise(500) + "\r\n\r\n")
		m.hear(50)
	}},
	{"noise", true, func(m *misdeed) { m.say(m.noise(3000)) }},
	{"smuggling", false, func(m *misdeed) {
		m.say("POST /v1/keys/crowd/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + m.request(post("/v1/keys/crowd/b", "value", "1")))
		m.hear(12)
	}},
	{"a flood of headers", false, func(m *misdeed) {
		m.say("GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X: y\r\n", 20_000))
	}},
	{"half a handshake", true, func(m *misdeed) {
		hello := &firstWrite{Conn: m.Conn}
		_ = tls.Client(hello, &tls.Config{InsecureSkipVerify: true}).Handshake() // of which no more than the first message leaves
		m.say(m.cut(string(hello.kept)))
	}},
	{"a handshake and no more", true, func(m *misdeed) {
		_ = tls.Client(m.Conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
	}},
	{"nothing", true, func(m *misdeed) { m.crowd.pause(m.rng, 300*time.Millisecond) }},
}

func (m *misdeed) noise(most int) string {
	b := make([]byte, 1+m.rng.IntN(most))
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return string(b)
}

// firstWrite keeps what is written first, and fails.
type firstWrite struct {
	net.Conn
	kept []byte
}

func (f *firstWrite) Write(p []byte) (int, error) {
	f.kept = slices.Clone(p)
	return 0, io.ErrClosedPipe
}

// held is what a machine holds because of its clients.
type held map[string]float64

// held reads the metrics of a machine.
func (s *server) held(t *testing.T) held {
	t.Helper()
	families, _ := s.scrape(t)
	h := held{}
	for _, name := range []string{"go_goroutines", "os_fd_used", "etcd_actor_running", "etcd_debugging_store_watchers", "etcd_watch_subscribers", "etcd_http_connections", "etcd_store_views"} {
		if families[name] == nil {
			t.Fatalf("%s serves no %s", s.name, name)
		}
		for _, m := range families[name].GetMetric() {
			h[name] += m.GetGauge().GetValue()
		}
	}
	return h
}

// over returns what is held over what was held before, and a few of each: the connections of the
// test, and what machines do now and then.
func (h held) over(before held) (more []string) {
	const few = 8
	for name, n := range h {
		if n > before[name]+few {
			more = append(more, fmt.Sprintf("%s %g, before %g", name, n, before[name]))
		}
	}
	return more
}

// TestCrowd lets hundreds of clients misbehave, each in its own way, while others use the cluster as
// they should: what these are told is linearizable, and when the crowd has gone, nothing is left of it.
func TestCrowd(t *testing.T) {
	t.Run("three machines", func(t *testing.T) {
		testCrowd(t, startCluster(t, 3, append(slices.Clone(calmElections), "--bcrypt-cost", "4")...))
	})
	t.Run("one machine with TLS", func(t *testing.T) {
		testCrowd(t, startSecureOf(t, 1, certtest.New("CA"), "--bcrypt-cost", "4").cluster)
	})
}

func testCrowd(t *testing.T, c *cluster) {
	seed := *crowdSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run '%s' -crowd=%s -crowd.seed=%d", t.Name(), *crowdTime, seed)
	first := c.members[0]
	waitUntil(t, "the version of the v2 API", func() bool {
		return first.do(put("/v2/keys/crowd/large", "value", strings.Repeat("x", 100_000))).status < 300
	})
	first.change(auth("users/root", `{"user":"root","password":"root"}`), auth("enable", ""))

	few := startCrowd(c.members, 20, seed) // whatever is started only once is running then
	few.pause(rand.New(rand.NewPCG(seed, 0)), time.Second)
	few.finish()
	before := make(map[*server]held)
	for _, s := range c.members {
		waitUntil(t, "the first ones have left", func() bool {
			before[s] = s.held(t)
			return before[s]["etcd_http_connections"] < 20 && before[s]["etcd_debugging_store_watchers"] == 0
		})
	}

	all := startCrowd(c.members, crowdSize, seed+1)
	w := startWorkload(t, 6, seed, c.addresses())
	pause(t, *crowdTime)
	w.finish()
	all.finish()
	if n := all.acts.Load(); n < crowdSize {
		t.Errorf("the crowd has misbehaved %d times", n)
	}
	w.check(c.members)
	for _, s := range c.members {
		var more []string
		if !holdsSoon(func() bool { more = s.held(t).over(before[s]); return len(more) == 0 }) {
			t.Errorf("%s still holds %s", s.name, strings.Join(more, "; "))
		}
	}
	c.checkSameState()
	var took []time.Duration
	for _, o := range w.ops {
		took = append(took, o.Return-o.Call)
	}
	t.Logf("%d operations beside %d misdeeds, their p99 %s", len(took), all.acts.Load(), percentile(took, 99).Round(time.Millisecond))
}
