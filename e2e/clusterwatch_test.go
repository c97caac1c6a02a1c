package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestWatchAcrossMembers checks that a watch that moves from member to member
// with its index sees every event once, in order, while leaders change.
func TestWatchAcrossMembers(t *testing.T) {
	t.Parallel()
	const watchers, writers, kills = 4, 3, 2
	c := startCluster(t, 3, append(slices.Clone(fastElections), "-snapshot-count", "200")...)
	addresses := c.addresses()
	start := c.members[0].event(post("/v1/keys/start", "value", "1")).Index + 1

	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	defer end() // if the test fails half-way
	var writing, watching sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[uint64]string{}
	for id := range writers {
		writing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				value := fmt.Sprintf("%d-%d", id, i)
				answer, err := exchange(addresses[i%len(addresses)], post("/v1/keys/watched/"+strconv.Itoa(id), "value", value))
				if err != nil || answer.status != 200 {
					continue // the outcome is unknown; the watchers will see it
				}
				e, err := answer.event()
				if err != nil {
					t.Errorf("%s: %v", answer.body, err)
					return
				}
				mu.Lock()
				acknowledged[e.Index] = value
				mu.Unlock()
			}
		})
	}
	// Watchers end at the event of the last key.
	seen := make([][]event, watchers)
	for id := range watchers {
		watching.Go(func() {
			next := start
			for at, failures := id, 0; failures < 1000; at++ {
				answer, err := exchange(addresses[at%len(addresses)], post("/v1/watch/watched", "index", strconv.FormatUint(next, 10)))
				if err != nil || answer.status == 500 {
					failures++
					select {
					case <-time.After(10 * time.Millisecond):
					case <-t.Context().Done():
						return
					}
					continue
				}
				e, err := answer.event()
				if err != nil || answer.status != 200 || e.Index < next {
					t.Errorf("watcher %d: from %d: %d %s (%v)", id, next, answer.status, answer.body, err)
					return
				}
				seen[id] = append(seen[id], e)
				next = e.Index + 1
				if e.Key == "/watched/end" {
					return
				}
			}
			t.Errorf("watcher %d gives up at %d", id, next)
		})
	}
	for range kills {
		pause(t, 300*time.Millisecond)
		leader := c.leader()
		c.kill(leader)
		c.leader() // a new one
		pause(t, 300*time.Millisecond)
		leader.start()
	}
	pause(t, 300*time.Millisecond)
	leader := c.leader()
	leader.stop()
	leader.start()
	end()
	writing.Wait()
	waitUntil(t, "the last write", func() bool {
		answer, err := exchange(addresses[0], post("/v1/keys/watched/end", "value", "end"))
		return err == nil && answer.status == 200
	})
	watching.Wait()
	if t.Failed() {
		return
	}
	// The last write may have been retried and done twice: the watchers end at the first.
	for id := range watchers {
		if !slices.Equal(seen[id], seen[0]) {
			t.Errorf("watcher %d sees %d events, watcher 0 sees %d, and not the same", id, len(seen[id]), len(seen[0]))
		}
	}
	history := map[uint64]event{}
	values := map[string]bool{}
	for _, e := range seen[0] {
		history[e.Index] = e
		if values[e.Value] {
			t.Errorf("%s was written once and is there twice", e.Value)
		}
		values[e.Value] = true
	}
	for index, value := range acknowledged {
		if history[index].Value != value {
			t.Errorf("%s was acknowledged at %d, the watchers see %+v there", value, index, history[index])
		}
	}
	t.Logf("%d watchers saw the same %d events, %d of them acknowledged to the writers", watchers, len(seen[0]), len(acknowledged))
}

// TestWatchOverSnapshot checks that watches on a machine that installs a
// snapshot of the leader either go on with the next event or end with the
// error that the history was cleared.
func TestWatchOverSnapshot(t *testing.T) {
	t.Parallel()
	c, net := startPartitionable(t, 3, "-heartbeat", "50ms", "-election", "500ms", "-snapshot-count", "200")
	leader := c.leader()
	late := c.others(leader)[0]
	next := leader.event(post("/v1/keys/watched", "value", "0")).Index + 1
	waitUntil(t, "the follower is up to date", func() bool {
		return late.event(get("/v1/keys/watched?quorum=false")).Index+1 >= next
	})
	open := map[string]*background{
		"from now on":         late.background(get("/v1/watch/watched")),
		"from the next index": late.background(post("/v1/watch/watched", "index", strconv.FormatUint(next, 10))),
	}
	later := late.background(get("/v1/watch/later"))
	late.waitWatchers(3)
	// A partitioned machine keeps its watches.
	net.setAll(c.slot(late), link{cut: true}, link{cut: true})
	first := leader.event(post("/v1/keys/watched", "value", "1"))
	leader.event(post("/v1/keys/watched", "value", "2"))
	p := startPressure(t, leader, 4)
	p.wait(6000, time.Minute) // more than a leader keeps in memory for followers that lag
	p.end()
	net.heal()
	waitUntil(t, "a snapshot is installed", func() bool { return snapshotReceived.MatchString(late.proc.stderr()) })
	waitUntil(t, "the follower has caught up", late.accepts)
	for name, b := range open {
		answer := b.wait(t)
		e, err := answer.event()
		cleared := answer.status == 500 && e.ErrorCode == 500 && e.Message == "watcher is cleared due to etcd recovery"
		if err != nil || !cleared && e != first {
			t.Errorf("the watch %s: %d %s, the next event is %+v", name, answer.status, answer.body, first)
		}
		t.Logf("the watch %s is answered %d %s", name, answer.status, answer.body)
	}
	if answer := late.event(post("/v1/watch/watched", "index", strconv.FormatUint(next, 10))); answer != first {
		t.Errorf("a watch from %d after the snapshot: %+v, the event is %+v", next, answer, first)
	}
	last := leader.event(post("/v1/keys/later", "value", "1"))
	answer := later.wait(t)
	if e, err := answer.event(); err != nil || answer.status == 200 && e != last || answer.status != 200 && e.ErrorCode != 500 {
		t.Errorf("a watch that stayed open: %d %s, the event is %+v", answer.status, answer.body, last)
	}
}
