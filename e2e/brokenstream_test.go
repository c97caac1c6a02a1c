package e2e

import (
	"fmt"
	"testing"
	"time"
)

// TestBrokenStream breaks the streams from a follower to a live leader while forwarded
// writes are in flight: they are done as soon as the streams are up again, not only after
// the timeout of their clients, and each is done once.
func TestBrokenStream(t *testing.T) {
	t.Parallel()
	c, net := startPartitionable(t, 3, "-heartbeat", "100ms", "-election", "2s", "-request-timeout", "5s")
	leader := c.leader()
	follower := c.others(leader)[0]
	from, to := c.slot(follower), c.slot(leader)
	const rounds, writes = 8, 3
	slowest := time.Duration(0)
	for round := range rounds {
		before := follower.event(post(fmt.Sprintf("/v1/keys/round%d", round), "value", "1")).Index
		begin := time.Now()
		net.set(from, to, link{held: true})
		var waiting []*background
		for i := range writes {
			waiting = append(waiting, follower.background(post(fmt.Sprintf("/v1/keys/lost/%d/%d", round, i), "value", "1")))
		}
		pause(t, time.Duration(round)*20*time.Millisecond) // what is in flight then is lost
		net.set(from, to, link{cut: true})
		net.heal()
		for _, p := range waiting {
			answer := p.wait(t)
			if e, err := answer.event(); err != nil || e.Action != "SET" || !e.NewKey {
				t.Errorf("round %d: %d %s", round, answer.status, answer.body)
			}
		}
		slowest = max(slowest, time.Since(begin))
		if after := follower.event(post("/v1/keys/after", "value", "1")).Index; after != before+writes+1 && c.leader() == leader {
			t.Errorf("round %d: %d writes, and entries from %d to %d", round, writes, before, after)
		}
	}
	t.Logf("the slowest round took %s", slowest.Round(time.Millisecond))
	c.checkSameState()
}
