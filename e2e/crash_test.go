package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var crashSeed = flag.Uint64("crash.seed", 0, "seed of TestCrash, 0 for a new one each run")

const (
	crashRounds  = 50
	crashWriters = 8
	crashKeys    = 12 // keys of each writer
)

// TestCrash kills the server under write load and restarts it, many times, and
// checks after every start that nothing acknowledged is lost, that history and
// index go on, and that TTLs survive.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run TestCrash -crash.seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	// Few entries between snapshots, so that snapshots, compaction and replay
	// all happen between two crashes.
	s := startServer(t, "-snapshot-count", "200", "-m", "5000")
	l := &load{server: s}
	for id := range crashWriters {
		l.writers = append(l.writers, &writer{
			id: id, load: l, keys: map[string]*record{},
			rng: rand.New(rand.NewPCG(seed, uint64(id)+1)),
		})
	}
	ttls := &ttlKeys{server: s}
	for round := range crashRounds {
		running := l.run(20 + rng.IntN(280))
		ttls.add(t, round)
		<-running.enough
		s.kill()
		running.wait()
		if t.Failed() {
			t.Fatalf("round %d: an answer was wrong before the crash", round)
		}
		s.start()
		for _, w := range l.writers {
			w.verify(t)
		}
		l.verifyHistory(t, rng)
		ttls.verify(t, false)
		if t.Failed() {
			t.Fatalf("round %d: the state after the crash is wrong", round)
		}
	}
	ttls.verify(t, true)
	s.stop()
	s.start()
	for _, w := range l.writers {
		w.verify(t)
	}
	l.verifyIndexes(t)
	if !strings.Contains(s.proc.stderr(), "msg=recovered") || strings.Contains(s.proc.stderr(), "snapshot=0 ") {
		t.Errorf("the last start did not recover from a snapshot:\n%s", s.proc.stderr())
	}
	t.Logf("%d acknowledged writes, highest index %d", len(l.acks), l.highest.Load())
}

// load is a group of writers, each on keys and a connection of its own.
type load struct {
	server  *server
	writers []*writer
	highest atomic.Uint64 // highest acknowledged index

	mu   sync.Mutex
	acks []ack // in no particular order
}

// ack is an acknowledged change: the event that the history must hold.
type ack struct {
	key   string
	index uint64
	body  string
}

// running is a load that has been started.
type running struct {
	enough chan struct{} // closed once the wanted number of writes is acknowledged
	left   atomic.Int64
	wg     sync.WaitGroup
}

func (r *running) wait() { r.wg.Wait() }

// run starts all writers; they end when their connections break.
func (l *load) run(enough int) *running {
	r := &running{enough: make(chan struct{})}
	r.left.Store(int64(enough))
	for _, w := range l.writers {
		c := l.server.dial()
		floor := l.highest.Load()
		r.wg.Go(func() { w.write(c, r, floor) })
	}
	return r
}

// record is what a key is known to hold.
type record struct {
	value      string // empty: there is no such key
	expiration string // empty: it is permanent
}

// attempt is a request that was sent and not answered.
type attempt struct {
	key   string
	after record // the state if the request took effect; the expiration is not known
	ttl   bool
}

// writer changes keys of its own and knows what they must hold.
type writer struct {
	id      int
	load    *load
	rng     *rand.Rand
	serial  int
	keys    map[string]*record
	pending *attempt
}

func (w *writer) dir() string { return "/w" + strconv.Itoa(w.id) }

// write sends one request after another until the connection breaks. floor is
// an index that every answer must exceed.
func (w *writer) write(c *conn, r *running, floor uint64) {
	t := w.load.server.t
	for {
		key := w.dir() + "/k" + strconv.Itoa(w.rng.IntN(crashKeys))
		before := w.keys[key]
		if before == nil {
			before = &record{}
		}
		w.serial++
		value := fmt.Sprintf("%d-%d", w.id, w.serial)
		path := "/v1/keys" + key
		next := &attempt{key: key, after: record{value: value}}
		q, wantStatus := post(path, "value", value), 200
		switch p := w.rng.IntN(100); {
		case p < 55:
		case p < 65:
			next.ttl = true
			q = post(path, "value", value, "ttl", "100000")
		case p < 80:
			q = post(path, "value", value, "prevValue", before.value)
		case p < 85:
			q, wantStatus = post(path, "value", value, "prevValue", "wrong"), 400
			next.after = *before
			if before.value == "" {
				wantStatus = 404
			}
		default:
			q = del(path)
			next.after = record{}
			if before.value == "" {
				wantStatus = 404
			}
		}
		w.pending = next
		answer, err := c.roundTrip(q)
		if err != nil {
			return
		}
		w.pending = nil
		if answer.status != wantStatus {
			t.Errorf("%s %s %s: %d %s, want status %d", q.method, q.target, q.body, answer.status, answer.body, wantStatus)
			return
		}
		if wantStatus == 200 {
			e, err := answer.event()
			if err != nil || e.Key != key || e.Value != next.after.value || e.PrevValue != before.value ||
				e.NewKey != (before.value == "") || (e.Expiration != "") != (next.ttl || e.Action == "DELETE" && before.expiration != "") {
				t.Errorf("%s %s %s on %+v: %s", q.method, q.target, q.body, *before, answer.body)
				return
			}
			if e.Index <= floor {
				t.Errorf("%s %s: index %d is not above %d", q.method, q.target, e.Index, floor)
				return
			}
			floor = e.Index
			if next.ttl {
				next.after.expiration = e.Expiration
			}
			w.keys[key] = &next.after
			w.load.acknowledge(ack{key, e.Index, answer.body})
		}
		if r.left.Add(-1) == 0 {
			close(r.enough)
		}
	}
}

func (l *load) acknowledge(a ack) {
	for {
		old := l.highest.Load()
		if a.index <= old || l.highest.CompareAndSwap(old, a.index) {
			break
		}
	}
	l.mu.Lock()
	l.acks = append(l.acks, a)
	l.mu.Unlock()
}

// verify compares the writer's keys with the server's. The outcome of an
// unanswered request is unknown; the server's state decides.
func (w *writer) verify(t *testing.T) {
	t.Helper()
	answer := w.load.server.do(get("/v1/keys" + w.dir()))
	there := map[string]event{}
	switch answer.status {
	case 200:
		var list []event
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil {
			t.Fatalf("GET %s: %v in %s", w.dir(), err, answer.body)
		}
		for _, e := range list {
			there[e.Key] = e
			if e.Index < w.load.highest.Load() {
				t.Errorf("GET %s at index %d, %d was acknowledged before", w.dir(), e.Index, w.load.highest.Load())
			}
		}
	case 404:
	default:
		t.Fatalf("GET %s: %d %s", w.dir(), answer.status, answer.body)
	}
	if p := w.pending; p != nil {
		if now := there[p.key]; now.Value == p.after.value && (now.Expiration != "") == p.ttl {
			w.keys[p.key] = &record{now.Value, now.Expiration}
		}
		w.pending = nil
	}
	for key, want := range w.keys {
		if got := (record{there[key].Value, there[key].Expiration}); got != *want {
			t.Errorf("%s is %+v after the restart, acknowledged was %+v", key, got, *want)
		}
		delete(there, key)
	}
	for key, e := range there {
		t.Errorf("%s holds %q, which nobody wrote", key, e.Value)
	}
}

// ttlField is the only field of an event that changes while it is kept.
var ttlField = regexp.MustCompile(`,"ttl":\d+`)

// verifyHistory asks the history for some of the latest acknowledged events.
func (l *load) verifyHistory(t *testing.T, rng *rand.Rand) {
	t.Helper()
	latest := l.acks[max(0, len(l.acks)-500):]
	for range 5 {
		a := latest[rng.IntN(len(latest))]
		got := l.server.do(post("/v1/watch"+a.key, "index", strconv.FormatUint(a.index, 10)))
		if ttlField.ReplaceAllString(got.body, "") != ttlField.ReplaceAllString(a.body, "") {
			t.Errorf("watch %s from %d answers\n%s\nacknowledged was\n%s", a.key, a.index, got.body, a.body)
		}
	}
}

// verifyIndexes checks that no index was given out twice.
func (l *load) verifyIndexes(t *testing.T) {
	t.Helper()
	slices.SortFunc(l.acks, func(a, b ack) int { return int(int64(a.index - b.index)) })
	for i := 1; i < len(l.acks); i++ {
		if l.acks[i].index == l.acks[i-1].index {
			t.Errorf("two answers have the same index:\n%s\n%s", l.acks[i-1].body, l.acks[i].body)
		}
	}
}

// ttlKeys are keys that expire a second after they were set, most of them
// beyond a crash.
type ttlKeys struct {
	server *server
	live   []event // the answers to their sets
}

// add sets a few keys that expire soon.
func (k *ttlKeys) add(t *testing.T, round int) {
	t.Helper()
	for i := range 3 {
		e := k.server.event(post(fmt.Sprintf("/v1/keys/ttl/%d-%d", round, i), "value", "short", "ttl", "1"))
		if e.Action != "SET" || e.Expiration == "" {
			t.Fatalf("set with ttl=1: %+v", e)
		}
		k.live = append(k.live, e)
	}
}

// verify checks that keys exist until their deadline and that expiry is an
// event of its own. Keys that are not due yet are kept for the next call, or
// waited for if all is set.
func (k *ttlKeys) verify(t *testing.T, all bool) {
	t.Helper()
	k.live = slices.DeleteFunc(k.live, func(set event) bool {
		at, err := time.Parse(time.RFC3339Nano, set.Expiration)
		if err != nil {
			t.Errorf("expiration of %s: %v", set.Key, err)
			return true
		}
		if !all && time.Now().Before(at) {
			got := k.server.event(get("/v1/keys" + set.Key))
			if time.Now().Before(at) && (got.Value != "short" || got.Expiration != set.Expiration) {
				t.Errorf("%s is %+v before it expires at %s", set.Key, got, set.Expiration)
			}
			return false
		}
		e := k.server.event(post("/v1/watch"+set.Key, "index", strconv.FormatUint(set.Index+1, 10)))
		if e.Action != "DELETE" || e.PrevValue != "short" || e.Expiration != set.Expiration || e.Index <= set.Index {
			t.Errorf("expiry of %+v is %+v", set, e)
		}
		if time.Now().Before(at) {
			t.Errorf("%s expired before %s", set.Key, set.Expiration)
		}
		if got := k.server.do(get("/v1/keys" + set.Key)); got.status != 404 {
			t.Errorf("%s after its expiry: %d %s", set.Key, got.status, got.body)
		}
		return true
	})
}
