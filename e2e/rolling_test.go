package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// persistentClient sends requests on a keep-alive connection. It moves to
// another member when a connection is refused, or reset before anything was
// sent, and replaces a connection that was closed while idle. It never sends a
// request twice.
type persistentClient struct {
	addresses []string
	at        int
	conn      *conn
	refusals  int
	served    int // requests on this connection
}

// do sends one request and returns the answer.
func (c *persistentClient) do(q request) (reply, error) {
	for {
		answer, err := c.try(q)
		if !errors.Is(err, errUnsent) {
			return answer, err
		}
	}
}

func (c *persistentClient) try(q request) (reply, error) {
	if c.conn != nil && (c.conn.closedByPeer() || c.served > 0 && c.conn.hasAlert()) {
		c.leave()
	}
	for tries := 0; c.conn == nil; tries++ {
		conn, err := dial(c.addresses[c.at%len(c.addresses)])
		switch {
		case err == nil && conn.closedByPeer():
			conn.Close()
			c.refusals++
			c.at++
		case err == nil:
			c.conn = conn
		case !errors.Is(err, syscall.ECONNREFUSED) || tries == 2*len(c.addresses):
			return reply{}, err
		default:
			c.refusals++
			c.at++
		}
	}
	answer, err := c.conn.roundTrip(q)
	if err == nil {
		c.served++
	} else {
		err = fmt.Errorf("after %d requests on the connection: %w", c.served, err)
	}
	if err != nil || answer.closes {
		c.leave()
	}
	return answer, err
}

func (c *persistentClient) leave() {
	if c.conn != nil {
		c.conn.Close()
		c.conn, c.served = nil, 0
	}
}

// TestRollingRestart restarts three machines one after another under load.
// Clients that retry refused connections, and nothing else, see no error; neither do those of gRPC.
func TestRollingRestart(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		testRollingRestart(t, startCluster(t, 3))
	})
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		testRollingRestart(t, startSecure(t, certtest.New("CA")).cluster)
	})
}

func testRollingRestart(t *testing.T, c *cluster) {
	const clients = 6
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	var rounds atomic.Int64
	var phase atomic.Int32 // which restart it is
	var worst [4]time.Duration
	var mu sync.Mutex
	var latencies []time.Duration
	refusals := 0
	for id := range clients {
		client := &persistentClient{addresses: c.addresses(), at: id}
		wg.Go(func() {
			defer client.leave()
			var own []time.Duration
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				latencies = append(latencies, own...)
				refusals += client.refusals
			}()
			key := "/v1/keys/rolling/" + strconv.Itoa(id)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// The two requests may go to different members; the read must
				// see the write all the same.
				value := strconv.Itoa(i)
				for _, q := range []request{post(key, "value", value), get(key)} {
					begin := time.Now()
					answer, err := client.do(q)
					own = append(own, time.Since(begin))
					mu.Lock()
					slowest := &worst[phase.Load()]
					*slowest = max(*slowest, time.Since(begin))
					mu.Unlock()
					if err != nil || answer.status != 200 {
						t.Errorf("client %d: request %d: %s at member %d: %d %s %v (after %s)",
							id, i, q.method, client.at%3, answer.status, answer.body, err, own[len(own)-1])
						return
					}
					if e, err := answer.event(); err != nil || e.Value != value {
						t.Errorf("client %d: request %d: %s: %s (%v)", id, i, q.method, answer.body, err)
						return
					}
				}
				rounds.Add(1)
			}
		})
	}
	goesOn := func() {
		enough := rounds.Load() + 100
		waitUntil(t, "load", func() bool { return rounds.Load() >= enough || t.Failed() })
	}
	goesOn()
	stopCalls := callAll(t, c)
	defer stopCalls()
	var report []string
	for i := range worst {
		phase.Store(int32(i))
		leader := c.leader()
		s := leader // at the end once more whichever leads then
		if i < len(c.members) {
			s = c.members[i]
		}
		s.stop()
		s.start()
		goesOn()
		mu.Lock()
		report = append(report, fmt.Sprintf("%s (leader: %t): %s", s.name, s == leader, worst[i]))
		mu.Unlock()
	}
	end()
	wg.Wait()
	t.Logf("%d calls over gRPC", stopCalls())
	c.checkSameState()
	t.Logf("%d requests, %d refused connections retried; latency p50 %s, p99 %s, p99.9 %s; worst at the restart of %s",
		len(latencies), refusals, percentile(latencies, 50), percentile(latencies, 99),
		percentile(latencies, 99.9), strings.Join(report, ", "))
}
