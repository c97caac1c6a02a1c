package e2e

import (
	"flag"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var catchupWrites = flag.Int("catchup", 30_000, "how many writes TestCatchUp makes while a machine is down")

const (
	// catchupLimit bounds how long a machine may take to catch up.
	catchupLimit = time.Minute

	catchupPace   = 10 * time.Millisecond // of each client, when latencies are compared
	catchupSettle = time.Second           // for the disk to drain what full speed has left
	catchupBefore = time.Second
)

// snapshotReceived is what a machine logs when it has installed a snapshot of
// the leader.
var snapshotReceived = regexp.MustCompile(`(?i)msg="?[^"\n]*snapshot[^"\n]*(received|installed)|(?i)msg="?[^"\n]*(received|installed)[^"\n]*snapshot`)

// pressure is a number of clients that write to one server.
type pressure struct {
	t       testing.TB
	server  *server
	stop    chan struct{}
	wg      sync.WaitGroup
	written atomic.Int64
	pace    atomic.Int64 // minimum time from one write of a client to its next, in ns

	mu        sync.Mutex
	latencies []time.Duration // since the last take
}

func startPressure(t testing.TB, s *server, clients int) *pressure {
	p := &pressure{t: t, server: s, stop: make(chan struct{})}
	value := strings.Repeat("x", 128)
	for id := range clients {
		c := s.dial()
		p.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-p.stop:
					return
				default:
				}
				begin := time.Now()
				answer, err := c.roundTrip(post("/v1/keys/p/"+strconv.Itoa(id)+"/"+strconv.Itoa(i%1000), "value", value))
				if err != nil || answer.status != 200 {
					t.Errorf("a write to the leader: %d %s %v", answer.status, answer.body, err)
					return
				}
				took := time.Since(begin)
				p.written.Add(1)
				p.mu.Lock()
				p.latencies = append(p.latencies, took)
				p.mu.Unlock()
				if rest := time.Duration(p.pace.Load()) - took; rest > 0 {
					select {
					case <-time.After(rest):
					case <-p.stop:
					}
				}
			}
		})
	}
	return p
}

// take returns the latencies since it was last called.
func (p *pressure) take() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.latencies
	p.latencies = nil
	return l
}

// wait returns after n more writes.
func (p *pressure) wait(n int, limit time.Duration) {
	p.t.Helper()
	target := p.written.Load() + int64(n)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for p.written.Load() < target && !p.t.Failed() {
		select {
		case <-tick.C:
		case <-end:
			p.t.Fatalf("%d writes are not done after %s", n, limit)
		}
	}
}

func (p *pressure) end() {
	close(p.stop)
	p.wg.Wait()
}

// TestCatchUp checks that a machine that was down for longer than the log
// reaches back catches up by a snapshot, while the leader goes on serving.
func TestCatchUp(t *testing.T) {
	c := startCluster(t, 3, "-snapshot-count", strconv.Itoa(max(*catchupWrites/6, 100)))
	leader := c.leader()
	late := c.others(leader)[0]
	p := startPressure(t, leader, 8)
	ended := false
	defer func() {
		if !ended {
			p.end()
		}
	}()

	c.kill(late)
	p.take()
	begin := time.Now()
	p.wait(*catchupWrites, 10*time.Minute)
	took := time.Since(begin)
	t.Logf("%d writes in %s, %.0f/s", *catchupWrites, took.Round(time.Millisecond), float64(*catchupWrites)/took.Seconds())

	// From here on at a pace that leaves processor time for the new member:
	// at full speed clients wait for the processor, not for the leader.
	p.pace.Store(int64(catchupPace))
	pause(t, catchupSettle)
	p.take()
	pause(t, catchupBefore)
	before := p.take()

	begin = time.Now()
	late.launch()
	late.proc.waitServing()
	serves := time.Since(begin)
	// It has caught up when it applies what the leader acknowledges now.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(catchupLimit); ; {
		now := leader.event(post("/v1/keys/now", "value", "1"))
		if late.event(get("/v1/keys/now?quorum=false")).Index >= now.Index {
			break
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the machine does not catch up")
		}
	}
	caughtUp := time.Since(begin)
	during := p.take()
	p.end()
	ended = true
	c.checkSameState()

	if !snapshotReceived.MatchString(late.proc.stderr()) {
		t.Errorf("the machine does not say that it received a snapshot:\n%s", late.proc.stderr())
	}
	p99, during99 := percentile(before, 99), percentile(during, 99)
	t.Logf("serves after %s, caught up after %s; the leader's p99 was %s before and is %s during that (%d and %d writes), ratio %.2f",
		serves.Round(time.Millisecond), caughtUp.Round(time.Millisecond), p99, during99, len(before), len(during), float64(during99)/float64(p99))
	if len(during) == 0 {
		t.Error("the leader has served nobody while a machine catches up")
	}
}

// A machine that was down for more writes than its peers keep in memory, 64 MiB, catches up
// from their logs on disk, and one that starts reads its own.
func TestCatchUpFromTheLogOnDisk(t *testing.T) {
	c := startCluster(t, 3, "-snapshot=false")
	leader := c.leader()
	late := c.others(leader)[0]
	c.kill(late)
	value := strings.Repeat("v", 1<<20)
	for i := range 70 {
		leader.event(post("/v1/keys/"+strconv.Itoa(i%4), "value", value))
	}
	c.kill(leader)
	late.launch()
	leader.launch()
	late.proc.waitServing()
	leader.proc.waitServing()
	now := leader.event(post("/v1/keys/now", "value", "1"))
	if got := late.event(get("/v1/keys/now")); got.Index != now.Index { // linearizable: waits until it has caught up
		t.Errorf("it has index %d, want %d", got.Index, now.Index)
	}
	c.checkSameState()
	if snapshotReceived.MatchString(late.proc.stderr()) {
		t.Errorf("the machine has got a snapshot:\n%s", late.proc.stderr())
	}
}
