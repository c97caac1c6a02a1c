package e2e

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etcd/internal/history"
)

const (
	// workloadLimit is how long a client waits for an answer. A running server
	// times out earlier, but some servers are paused.
	workloadLimit = 2 * time.Second

	keysAtATime = 3
	keysLife    = 2 * time.Second // then the clients move on to new keys
	redialPause = 10 * time.Millisecond
)

// workload is a group of clients that share a few keys, through all members of
// a cluster, and record every answer.
type workload struct {
	t     testing.TB
	root  string // prefix of all keys, different for each workload
	begin time.Time
	stop  chan struct{}
	wg    sync.WaitGroup

	mu        sync.Mutex
	addresses []string
	ops       []history.Operation
	appended  map[string][]string // acknowledged members of directories that only grow
}

// startWorkload starts clients that begin with different members and move to
// the next when one does not answer.
func startWorkload(t testing.TB, clients int, seed uint64, addresses []string) *workload {
	return startWorkloadIn(t, "", clients, seed, addresses)
}

// startWorkloadIn is startWorkload for a cluster that has had workloads before.
func startWorkloadIn(t testing.TB, root string, clients int, seed uint64, addresses []string) *workload {
	w := &workload{t: t, root: root, begin: time.Now(), stop: make(chan struct{}), addresses: addresses, appended: map[string][]string{}}
	for id := range clients {
		c := &workloadClient{workload: w, id: id, at: id, rng: rand.New(rand.NewPCG(seed, uint64(id)+1)), seen: map[string]string{}}
		w.wg.Go(c.run)
	}
	t.Cleanup(w.finish)
	return w
}

// finish stops the clients. It may be called more than once.
func (w *workload) finish() {
	w.mu.Lock()
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// move tells the clients where the members are now.
func (w *workload) move(addresses []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addresses = addresses
}

func (w *workload) address(slot int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.addresses[slot%len(w.addresses)]
}

func (w *workload) now() time.Duration { return time.Since(w.begin) }

// done returns how many operations are done.
func (w *workload) done() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, o := range w.ops {
		if o.Outcome == history.Done {
			n++
		}
	}
	return n
}

// check ends the workload and checks what the clients have seen, and that
// every server holds what was acknowledged.
func (w *workload) check(servers []*server) {
	w.t.Helper()
	w.finish()
	// The final state belongs to the history.
	keys := map[string]bool{}
	for _, o := range w.ops {
		keys[o.Key] = true
	}
	for _, s := range servers {
		c := s.dial()
		for key := range keys {
			o := history.Operation{Client: -1, Action: history.Get, Key: key, Call: w.now()}
			answer, err := c.roundTrip(get("/v1/keys" + key))
			o.Return = w.now()
			if err == nil {
				err = note(&o, answer)
			}
			if err != nil || o.Outcome == history.Unknown {
				w.t.Fatalf("%s at the end: GET %s: %d %s %v", s.name, key, answer.status, answer.body, err)
			}
			w.ops = append(w.ops, o)
		}
		w.checkAppended(s)
	}
	if err := history.Check(w.ops); err != nil {
		w.t.Error(err)
	}
	tally := history.Tally(w.ops)
	w.t.Logf("%d operations on %d keys: %v", len(w.ops), len(keys), tally)
	if tally[history.Done] == 0 {
		w.t.Error("no operation was done")
	}
}

// checkAppended checks that a server holds all that was acknowledged in the
// directories that only grow.
func (w *workload) checkAppended(s *server) {
	w.t.Helper()
	total := 0
	for dir, want := range w.appended {
		answer := s.do(get("/v1/keys" + dir))
		var list []event
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil {
			w.t.Fatalf("%s: GET %s: %d %v", s.name, dir, answer.status, err)
		}
		there := map[string]bool{}
		for _, e := range list {
			there[e.Key] = true
		}
		for _, key := range want {
			if !there[key] {
				w.t.Errorf("%s: %s was acknowledged and is not there", s.name, key)
			}
		}
		total += len(want)
	}
	w.t.Logf("%s holds all %d acknowledged keys", s.name, total)
}

// workloadClient sends one request after another.
type workloadClient struct {
	workload *workload
	id       int
	at       int // the member it uses
	rng      *rand.Rand
	serial   int
	conn     *conn
	seen     map[string]string // values of keys when it last read them
}

func (c *workloadClient) run() {
	defer c.leave()
	for {
		select {
		case <-c.workload.stop:
			return
		default:
		}
		if c.conn == nil {
			address := c.workload.address(c.at)
			conn, err := dial(address)
			if err != nil {
				c.next()
				continue
			}
			c.conn = conn
		}
		if c.rng.IntN(100) < 10 {
			c.append()
		} else {
			c.operate()
		}
	}
}

// leave closes the connection, if it is open.
func (c *workloadClient) leave() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// next moves to the next member after a short pause.
func (c *workloadClient) next() {
	c.leave()
	c.at++
	select {
	case <-time.After(redialPause):
	case <-c.workload.stop:
	}
}

// append writes a key that is never touched again.
func (c *workloadClient) append() {
	dir := c.workload.root + "/appended/" + strconv.Itoa(c.id)
	c.serial++
	key := dir + "/" + strconv.Itoa(c.serial)
	answer, err := c.conn.roundTripWithin(post("/v1/keys"+key, "value", "there"), workloadLimit)
	switch {
	case err != nil || answer.status == 500 || answer.status == 503:
		c.next()
	case answer.status == 200:
		c.workload.mu.Lock()
		c.workload.appended[dir] = append(c.workload.appended[dir], key)
		c.workload.mu.Unlock()
	default:
		c.workload.t.Errorf("POST %s: %d %s", key, answer.status, answer.body)
	}
}

// operate does a random operation on one of the current keys and records the
// outcome.
func (c *workloadClient) operate() {
	w := c.workload
	epoch := int(w.now() / keysLife)
	o := history.Operation{Client: c.id, Key: fmt.Sprintf("%s/contended/%d-%d", w.root, epoch, c.rng.IntN(keysAtATime))}
	path := "/v1/keys" + o.Key
	c.serial++
	value := fmt.Sprintf("%d-%d", c.id, c.serial)
	var q request
	switch p := c.rng.IntN(100); {
	case p < 35:
		o.Action, q = history.Get, get(path)
	case p < 65:
		o.Action, o.Value, q = history.Set, value, post(path, "value", value)
	case p < 88:
		o.Action, o.Value, o.Prev = history.TestAndSet, value, c.seen[o.Key]
		q = post(path, "value", value, "prevValue", o.Prev)
	default:
		o.Action, q = history.Delete, del(path)
	}
	o.Call = w.now()
	answer, err := c.conn.roundTripWithin(q, workloadLimit)
	o.Return = w.now()
	if err == nil {
		if err := note(&o, answer); err != nil {
			if !errors.Is(err, errNotDone) {
				w.t.Errorf("%v: %v", o, err)
			}
			c.next()
			return
		}
	}
	w.mu.Lock()
	w.ops = append(w.ops, o)
	w.mu.Unlock()
	switch o.Outcome {
	case history.Unknown:
		c.next()
	case history.Mismatch:
		c.seen[o.Key] = o.Found
	case history.Missing:
		delete(c.seen, o.Key)
	case history.Done:
		c.seen[o.Key] = o.Value
		if o.Action == history.Get {
			c.seen[o.Key] = o.Found
		}
	}
}

// errNotDone stands for an answer that guarantees that nothing was done.
var errNotDone = errors.New("not done")

// note records an answer in an operation.
func note(o *history.Operation, answer reply) error {
	e, err := answer.event()
	switch {
	case err != nil:
		return err
	case answer.status == 503:
		return errNotDone // too many connections
	case answer.status == 200:
		o.Outcome, o.Found, o.Index = history.Done, e.PrevValue, e.Index
		if o.Action == history.Get {
			o.Found = e.Value
		}
	case answer.status == 404 && e.ErrorCode == 100:
		o.Outcome = history.Missing
	case answer.status == 400 && e.ErrorCode == 101:
		current, _, ok := strings.Cut(strings.TrimPrefix(e.Cause, "TestAndSet: "), "!=")
		if !ok || current == "" {
			return fmt.Errorf("cause %q", e.Cause)
		}
		o.Outcome, o.Found = history.Mismatch, current
	case answer.status == 500 && e.ErrorCode == 300:
		// The outcome is unknown; for a read that is the same as no answer.
	case answer.status == 500 && e.ErrorCode == 301:
		return errNotDone
	default:
		return fmt.Errorf("unexpected answer %d %s", answer.status, answer.body)
	}
	return nil
}

// closedByPeer reports whether the server has closed an idle connection, which
// must be replaced before the next request.
func (c *conn) closedByPeer() bool {
	n, err := c.peek()
	return n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN)
}

// hasAlert reports whether the server has ended TLS on a connection on which all
// answers have been read. (Before the first answer, pending bytes may be session
// tickets.)
func (c *conn) hasAlert() bool {
	_, overTLS := c.Conn.(*tls.Conn)
	n, err := c.peek()
	return overTLS && n > 0 && err == nil
}

// percentile returns a percentile of durations, which it sorts.
func percentile(durations []time.Duration, p float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return durations[min(int(float64(len(durations))*p/100), len(durations)-1)]
}
