package e2e

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// isOverload reports whether a machine had no room for a request, and said so as documented.
func (r reply) isOverload() bool {
	return r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") == "1" && strings.Contains(r.body, "-max-requests-in-flight")
}

// hammer has clients of a server write, one request after the other, until stop is called. That returns how
// many of their writes were done, and how many refused.
func (s *server) hammer(clients int) (stop func() (done, refused int64)) {
	s.t.Helper()
	var stopped atomic.Bool
	var done, refused atomic.Int64
	var all sync.WaitGroup
	for range clients {
		c := s.dial()
		all.Go(func() {
			for !stopped.Load() {
				switch answer, err := c.roundTrip(post("/v1/keys/hammered", "value", "1")); {
				case err != nil:
					s.t.Errorf("a client of many: %v", err)
					return
				case answer.status == http.StatusOK:
					done.Add(1)
				case answer.isOverload():
					refused.Add(1)
				default:
					s.t.Errorf("a client of many: %d %s", answer.status, answer.body)
					return
				}
			}
		})
	}
	return func() (int64, int64) {
		stopped.Store(true)
		all.Wait()
		return done.Load(), refused.Load()
	}
}

// behaved sends requests one after the other, on a connection of its own, and returns the 99th percentile
// of how long they took. Each must be answered with the status.
func (s *server) behaved(n int, q request, status int) (p99 time.Duration) {
	s.t.Helper()
	c := s.dial()
	var took []time.Duration
	for range n {
		began := time.Now()
		answer, err := c.roundTrip(q)
		if err != nil {
			s.t.Fatalf("%s %s: %v", q.method, q.target, err)
		}
		if answer.status != status {
			s.t.Fatalf("%s %s beside many others: %d %s", q.method, q.target, answer.status, answer.body)
		}
		took = append(took, time.Since(began))
	}
	return percentile(took, 99)
}

// TestOverload checks that a machine with more requests than it has room for refuses the rest at once,
// and still serves those who look after it; and that it goes on as soon as it can.
func TestOverload(t *testing.T) {
	t.Parallel()
	const room, more, crowd = 40, 60, 60
	c := startCluster(t, 3, "-max-requests-in-flight", "40", "-request-timeout", "3m")
	s := c.leader()
	s.event(post("/v1/keys/a", "value", "1"))
	alone := s.behaved(50, del("/v1/keys/none"), 404)
	c.kill(c.others(s)...)

	var sent []*background
	for range room + more {
		sent = append(sent, s.background(post("/v1/keys/b", "value", "2")))
	}
	waitUntil(t, "those for which there is room wait", func() bool { return s.metric("etcd_http_requests_in_flight") == room })
	deleting := s.background(del("/v1/keys/a"))
	waitUntil(t, "a delete waits as well", func() bool { return s.metric("etcd_http_requests_in_flight") == room+1 })
	stop := s.hammer(10)
	t.Logf("local reads without a quorum: p99 %s", s.behaved(50, get("/v1/keys/a?quorum=false"), 200))
	s.behaved(1, get("/livez"), 200)
	s.behaved(1, get("/version"), 200)
	waitUntil(t, "health says what is wrong", func() bool {
		answer := s.do(get("/health"))
		return answer.status == http.StatusServiceUnavailable && answer.body == `{"health":"false","reason":"RAFT NO LEADER"}`
	})
	if done, refused := stop(); done > 0 || refused == 0 {
		t.Errorf("without a quorum %d writes were done and %d refused", done, refused)
	}

	c.start(c.others(s)...)
	done := 0
	for _, b := range sent {
		switch answer := b.wait(t); {
		case answer.status == http.StatusOK:
			done++
		case !answer.isOverload():
			t.Errorf("a write that waited: %d %s", answer.status, answer.body)
		}
	}
	if done != room {
		t.Errorf("%d writes were done once there was a quorum, want %d", done, room)
	}
	if answer := deleting.wait(t); answer.status != http.StatusOK {
		t.Errorf("the delete that waited: %d %s", answer.status, answer.body)
	}

	stop = s.hammer(crowd)
	beside := s.behaved(50, del("/v1/keys/none"), 404)
	served, refused := stop()
	t.Logf("deletes: p99 %s; beside %d clients that write as fast as they can: %s, while %d writes were done and %d refused",
		alone, crowd, beside, served, refused)
	waitUntil(t, "the machine serves everybody", s.accepts)
}
