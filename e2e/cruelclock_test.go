package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// far is how far clocks jump. A time that is off by half of it went by a wrong clock.
const far = 2 * time.Hour

// jumpClocks sets the wall clocks of single machines forwards and backwards
// while keys have deadlines ahead. A running machine goes on by elapsed time,
// and one that starts with a wrong clock by the time of the log: nothing
// expires early or late.
func (o *ordeal) jumpClocks() {
	clocks := map[*server]*shiftedClock{}
	for _, s := range o.c.members {
		clocks[s] = shiftClock(s)
	}
	o.c.kill(o.c.members...)
	o.c.start(o.c.members...)
	o.mustAccept(o.c.members...)

	// Running machines: the leader's clock jumps one way, a follower's the other.
	for _, jump := range variants(o, 1, []time.Duration{far, -far}) {
		leader := o.c.leader()
		jumps := map[*server]time.Duration{leader: jump, o.c.others(leader)[0]: -jump}
		long := "/clock/long" + jump.String()
		o.setTTL(leader, long, far/4)
		for s, jump := range jumps {
			clocks[s].set(o.t, jump)
		}
		var short []event
		for s, jump := range jumps {
			waitUntil(o.t, s.name+" shows the time as set", func() bool {
				at, err := http.ParseTime(s.do(get("/version")).header.Get("Date"))
				return err == nil && near(time.Until(at), jump)
			})
			e := o.setTTL(s, "/clock/short"+jump.String(), time.Second)
			at, err := time.Parse(time.RFC3339Nano, e.Expiration)
			if err != nil || !near(time.Until(at), 0) {
				o.t.Errorf("%s promises the expiration %q after its clock jumped by %s (%v)", s.name, e.Expiration, jump, err)
			}
			short = append(short, e)
		}
		for _, e := range short {
			o.mustExpire(leader, e)
		}
		for _, s := range o.c.members {
			if e := o.read(s, long); e.Value != "there" || time.Duration(e.TTL)*time.Second > far/4 {
				o.t.Errorf("%s after the leader's clock jumped by %s: %+v", s.name, jump, e)
			}
		}
		for s := range jumps {
			clocks[s].set(o.t, 0)
		}
	}

	// Machines that start with wrong clocks, and lead: their peers told them the time of the log.
	for _, skew := range variants(o, 1, []time.Duration{-far, far}) {
		s := o.any()
		name := "/clock/start" + skew.String()
		before := o.setTTL(s, name+"/before", far/4)
		clocks[s].set(o.t, skew)
		o.c.kill(s)
		o.c.start(s)
		o.lead(s)
		short := o.setTTL(s, name+"/short", time.Second)
		if at, err := time.Parse(time.RFC3339Nano, short.Expiration); err != nil || !near(time.Until(at), 0) {
			o.t.Errorf("%s, started with a clock that is %s off, promises the expiration %q (%v)", s.name, skew, short.Expiration, err)
		}
		o.mustExpire(s, short)
		for _, other := range o.c.members {
			e := o.read(other, before.Key)
			if left := time.Duration(e.TTL) * time.Second; e.Value != "there" || e.Expiration != before.Expiration || left > far/4 || !near(left, far/4) {
				o.t.Errorf("%s under a leader that has started with a clock that is %s off: %+v, set was %+v", other.name, skew, e, before)
			}
		}
		waitUntil(o.t, s.name+" says that its clock is wrong", func() bool {
			return strings.Contains(s.proc.stderr(), "the clock of this machine is far from the time of the log")
		})
		clocks[s].set(o.t, 0)
		o.c.kill(s)
		o.c.start(s)
	}
	for _, s := range o.c.members {
		s.begin = nil
	}
	o.c.kill(o.c.members...)
	o.c.start(o.c.members...)
}

// near reports whether two durations are the same, measured by a jump.
func near(a, b time.Duration) bool { return (a - b).Abs() < far/8 }

// setTTL sets a key that expires, and retries until it is acknowledged.
func (o *ordeal) setTTL(s *server, key string, ttl time.Duration) event {
	o.t.Helper()
	var e event
	waitUntil(o.t, "a key with a time to live is set at "+s.name, func() bool {
		answer, err := exchange(s.client, post("/v1/keys"+key, "value", "there", "ttl", strconv.Itoa(int(ttl/time.Second))))
		if err != nil || answer.status != 200 {
			return false
		}
		e, err = answer.event()
		return err == nil
	})
	return e
}

// mustExpire waits until a key expires, and checks that this is its next
// event.
func (o *ordeal) mustExpire(s *server, set event) {
	o.t.Helper()
	watch := s.background(post("/v1/watch"+set.Key, "index", strconv.FormatUint(set.Index+1, 10)))
	next := watch.wait(o.t)
	watch.conn.Close()
	if e, err := next.event(); err != nil || e.Action != "DELETE" || e.Expiration != set.Expiration {
		o.t.Errorf("what happens to %+v is %d %s", set, next.status, next.body)
	}
}
