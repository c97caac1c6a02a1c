package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// oracle is a server whose answers were recorded, and the API in which it gave them.
type oracle struct {
	recording  string         // the file of its answers
	deviations string         // the file of what this server answers instead
	document   string         // the page that says why
	reason     *regexp.Regexp // what a quotation from it looks like
	rules      []rule
	keys       string                     // the path of the keys
	flags      func(name string) []string // of the server, by the case
	begin      func(*replay)
	node       func(body any) object               // the part of an answer that is the key
	expired    func(r *replay, missing reply) bool // reports whether it was removed, and is not only due
	headers    func(r *replay, want expectation, got reply) string
	// fields compare further fields of an answer than those that all APIs have, or compare these in
	// another way.
	fields func(*replay, recordedStep) map[string]func(want, got any) string
	// learn is what else a case remembers of an answer.
	learn func(r *replay, s recordedStep, body any)
	// asRecorded replaces the indexes in a body by those of the recording.
	asRecorded func(r *replay, body string) string
	// frame makes what surrounds the body of an answer fit another body than the recorded one.
	frame func(recordedStep, *expectation)
}

// replayAll replays all cases of a recording and compares the answers, with a fresh server for each.
func (o *oracle) replayAll(t *testing.T) {
	cases, err := loadRecording[recordedCase](o.recording)
	if err != nil {
		t.Fatal(err)
	}
	expected := o.loadDeviations(t, cases)
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.Name
	}
	if !runCases(t, names, func(t *testing.T, i int) { o.replay(t, cases[i], expected) }) {
		return
	}
	// A run that was narrowed with -run does not use all of them.
	if flagRun() == "" {
		for name := range expected.Rules {
			if !expected.used[name] {
				t.Errorf("the rule %q was never needed", name)
			}
		}
	}
}

// casesAtOnce is how many recorded cases are replayed at once. Most of them wait most of the time, so
// they are more than the processors, to which T.Parallel keeps.
const casesAtOnce = 8

// runCases runs a subtest for every name and reports whether all have passed.
func runCases(t *testing.T, names []string, run func(t *testing.T, i int)) bool {
	slots := make(chan struct{}, casesAtOnce)
	var running sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { run(t, i) })
		})
	}
	running.Wait()
	return !t.Failed()
}

// replay is the state of one case.
type replay struct {
	t        *testing.T
	oracle   *oracle
	server   *server
	expected *deviations
	name     string

	vars        *strings.Replacer // $CLIENT, $PEER, $VERSION
	shift       int64             // ours minus recorded index
	indexes     indexMap
	expirations map[string]string    // recorded expiration to ours
	set         map[string]time.Time // by recorded expiration: when the request was sent that set it
	expiring    map[string]time.Time
	open        map[string]*background // by the name of the recorded background request
	loose       bool                   // indexes can only be compared by order
	restarted   bool
	last        uint64 // the highest index seen
}

func (o *oracle) replay(t *testing.T, c recordedCase, expected *deviations) {
	r := &replay{
		t: t, oracle: o, server: startServer(t, o.flags(c.Name)...), expected: expected, name: c.Name,
		expirations: map[string]string{},
		set:         map[string]time.Time{},
		expiring:    map[string]time.Time{},
		open:        map[string]*background{},
	}
	o.begin(r)
	for number, step := range c.Steps {
		r.shift += expected.shift(c.Name, number)
		want, err := expected.expect(c.Name, number, step, r.shift)
		if err != nil {
			t.Fatalf("step %d: %v", number, err)
		}
		r.step(number, step, want)
		if t.Failed() {
			return
		}
	}
	for id, b := range r.open {
		if !b.stillOpen() {
			t.Errorf("the watch %q was answered", id)
		}
	}
}

// step carries out one step and checks its answer.
func (r *replay) step(number int, s recordedStep, want expectation) {
	switch {
	case s.Sleep > 0:
		r.sleep(time.Duration(s.Sleep * float64(time.Second)))
	case s.Restart:
		r.restarted = true
		r.server.stop()
		r.server.start()
		for _, at := range r.expiring {
			// Usually the key expires after the restart. On a host too slow
			// for that the log entries have another order.
			r.loose = r.loose || time.Now().After(at)
		}
	case s.Background != "":
		b := r.server.background(s.Request.wire(r.rewrite(0)))
		r.open[s.Background] = b
		if want.answered {
			answer := b.wait(r.t)
			b.answer <- outcome{answer, nil}
			return
		}
		if s.HeadersAlready {
			b.begun(r.t)
		}
		n := r.openWatches()
		waitUntil(r.t, fmt.Sprintf("step %d: a watch more", number), func() bool {
			return len(b.answer) > 0 || r.server.watchers() == n
		})
		if len(b.answer) > 0 {
			o := <-b.answer
			r.t.Fatalf("step %d: answered at once: %d %s %v", number, o.status, o.body, o.err)
		}
	case s.Collect != "":
		b := r.open[s.Collect]
		delete(r.open, s.Collect)
		r.collect(number, s, want, b)
	case s.Repeated > 0:
		c := r.server.dial()
		for i := range s.Repeated {
			answer, err := c.roundTrip(s.Request.wire(r.rewrite(i)))
			if err != nil {
				r.t.Fatalf("step %d, request %d: %v", number, i, err)
			}
			r.learnRepeated(s, i, answer)
			if i == s.Repeated-1 {
				r.compare(number, s, want, answer, time.Now())
			} else if answer.status != want.status {
				r.t.Fatalf("step %d, request %d: status %d, want %d", number, i, answer.status, want.status)
			}
		}
	case want.open:
		r.collect(number, s, want, r.server.background(s.Request.wire(r.rewrite(0))))
	default:
		sent := time.Now()
		r.compare(number, s, want, r.server.do(s.Request.wire(r.rewrite(0))), sent)
	}
}

// collect checks the answer to a request in the background, or as much as there is of it.
func (r *replay) collect(number int, s recordedStep, want expectation, b *background) {
	if !want.open {
		r.compare(number, s, want, b.wait(r.t), time.Now())
		return
	}
	if want.status != 0 {
		b.begun(r.t)
		waitUntil(r.t, fmt.Sprintf("step %d: the beginning of the answer", number), func() bool {
			return len(b.answer) > 0 || strings.Count(b.partial().body, "\n") >= countLines(want.body)
		})
	}
	if !b.stillOpen() {
		o := <-b.answer
		r.t.Fatalf("step %d: the watch was answered: %d %s %v", number, o.status, o.body, o.err)
	}
	if want.status != 0 {
		r.compare(number, s, want, b.partial(), time.Now())
	}
	b.conn.Close()
	<-b.answer
	r.server.waitWatchers(r.openWatches())
}

// openWatches counts the requests in the background without an answer.
func (r *replay) openWatches() int {
	n := 0
	for _, b := range r.open {
		if len(b.answer) == 0 {
			n++
		}
	}
	return n
}

// rewrite translates recorded indexes in requests into ours and fills in the
// counter of a repeated request.
func (r *replay) rewrite(i int) func(name, value string) string {
	return func(name, value string) string {
		switch name {
		case "index", "waitIndex", "prevIndex":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return value
			}
			return strconv.FormatUint(r.indexes.translate(n), 10)
		}
		return strings.ReplaceAll(value, "{i}", strconv.Itoa(i))
	}
}

// sleep lets the recorded time pass. If keys expire in that time, it waits for
// their expiry instead.
func (r *replay) sleep(d time.Duration) {
	waited := false
	for key, at := range r.expiring {
		if time.Until(at) > d {
			continue
		}
		waited = true
		waitUntil(r.t, key+" expires", func() bool {
			answer := r.server.do(get(r.oracle.keys + key))
			return answer.status == 404 && r.oracle.expired(r, answer)
		})
		delete(r.expiring, key)
	}
	if !waited {
		<-time.After(d)
	}
}
