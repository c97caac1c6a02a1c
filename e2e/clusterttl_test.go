package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// TestExpiryAcrossLeaders checks that keys expire at the same index on all
// machines and never early, also when the leader is killed just before.
func TestExpiryAcrossLeaders(t *testing.T) {
	t.Parallel()
	const keys = 6
	c := startCluster(t, 3, fastElections...)
	var sets []event
	var first time.Time // when the first key expires
	for i := range keys {
		key := "/v1/keys/ttl/" + strconv.Itoa(i)
		e := c.members[i%3].event(post(key, "value", "short", "ttl", strconv.Itoa(1+i%2)))
		at, err := time.Parse(time.RFC3339Nano, e.Expiration)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		sets = append(sets, e)
	}
	long := c.members[0].event(post("/v1/keys/long", "value", "1", "ttl", "1000"))

	// There is a watch on every machine; those on the leader are repeated later.
	watch := func(s *server) (watches []*background) {
		for _, set := range sets {
			watches = append(watches, s.background(post("/v1/watch"+set.Key, "index", strconv.FormatUint(set.Index+1, 10))))
		}
		return watches
	}
	leader := c.leader()
	watches := map[*server][]*background{}
	for _, s := range c.others(leader) {
		watches[s] = watch(s)
	}
	pause(t, time.Until(first)-50*time.Millisecond)
	c.kill(leader)

	expired := make([]event, keys)
	for _, s := range c.others(leader) {
		for i, b := range watches[s] {
			answer := b.wait(t)
			arrived := time.Now()
			e, err := answer.event()
			if err != nil || e.Action != "DELETE" || e.PrevValue != "short" || e.Expiration != sets[i].Expiration {
				t.Fatalf("%s: expiry of %+v: %d %s", s.name, sets[i], answer.status, answer.body)
			}
			if at, _ := time.Parse(time.RFC3339Nano, e.Expiration); arrived.Before(at) {
				t.Errorf("%s: %s expired %s early", s.name, e.Key, at.Sub(arrived))
			}
			if expired[i].Index != 0 && e != expired[i] {
				t.Errorf("machines expire %s differently:\n%+v\n%+v", e.Key, e, expired[i])
			}
			expired[i] = e
		}
	}
	// The killed machine learns it from the log, as all do after a full restart.
	leader.start()
	check := func() {
		for _, s := range c.members {
			for i, set := range sets {
				e := s.event(post("/v1/watch"+set.Key, "index", strconv.FormatUint(set.Index+1, 10)))
				if e != expired[i] {
					t.Errorf("%s: expiry of %s is %+v, elsewhere %+v", s.name, set.Key, e, expired[i])
				}
				s.want(get("/v1/keys"+set.Key), 404, fmt.Sprintf(`{"errorCode":100,"message":"Key Not Found","cause":"%s"}`, set.Key))
			}
			if e := s.event(get("/v1/keys/long")); e.Expiration != long.Expiration {
				t.Errorf("%s: %+v, set was %+v", s.name, e, long)
			}
		}
	}
	check()
	c.kill(c.members...)
	c.start(c.members...)
	check()
	c.checkSameState()
}

// TestTTLOfAQueuedWrite checks that the TTL of a write that came while there was no
// leader counts from the time at which the next leader proposes it.
func TestTTLOfAQueuedWrite(t *testing.T) {
	t.Parallel()
	const ttl = 60 * time.Second
	c := startCluster(t, 3, "-election", "1s")
	leader := c.leader()
	others := c.others(leader)
	leader.proc.signal(sigStop) // killed, it would be succeeded at once
	stopped := time.Now()
	var writes []*background // to all machines, one of which leads next
	for _, s := range others {
		writes = append(writes, s.background(post("/v1/keys/"+s.name, "value", "1", "ttl", strconv.Itoa(int(ttl/time.Second)))))
	}
	for i, w := range writes {
		answer := w.wait(t)
		e, err := answer.event()
		if err != nil {
			t.Fatalf("%s: %d %s", others[i].name, answer.status, answer.body)
		}
		at, err := time.Parse(time.RFC3339Nano, e.Expiration)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		// No leader can be elected until nearly an election timeout after the last heartbeat.
		if from := at.Add(-ttl).Sub(stopped); from < time.Second/2 {
			t.Errorf("%s: the time to live counts from %v after the leader was stopped, when there was no other one", others[i].name, from)
		}
	}
}
