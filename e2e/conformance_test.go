package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestConformance replays the requests recorded with etcd 0.1.0 and compares
// the answers, with a fresh server for each case.
func TestConformance(t *testing.T) {
	cases, err := loadRecording("testdata/v1-etcd-0.1.0.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	expected := loadDeviations(t, "testdata/v1-deviations.json", "../docs/api-v1.md", cases)
	all := t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				replayCase(t, c, expected)
			})
		}
	})
	if !all {
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

// versionText is what the server answers where a version is asked for.
var versionText = regexp.MustCompile(`^etcd v\d+\.\d+\.\d+[-+.0-9A-Za-z]*$`)

// replay is the state of one case.
type replay struct {
	t        *testing.T
	server   *server
	expected *deviations
	name     string

	vars        *strings.Replacer    // $CLIENT, $PEER, $VERSION
	shift       int64                // ours minus recorded index
	indexes     [][2]uint64          // recorded index and ours, ascending
	expirations map[string]string    // recorded expiration to ours
	set         map[string]time.Time // by recorded expiration: when the request was sent that set it
	expiring    map[string]time.Time
	open        map[string]*background // by the name of the recorded background request
	loose       bool                   // indexes can only be compared by order
	restarted   bool
	last        uint64 // the highest index seen
}

func replayCase(t *testing.T, c recordedCase, expected *deviations) {
	var flags []string
	if m, ok := strings.CutPrefix(c.Name, "watch_history_m_"); ok {
		flags = []string{"-m", m}
	}
	s := startServer(t, flags...)
	version := s.do(get("/version")).body
	if !versionText.MatchString(version) {
		t.Fatalf("the version is %q", version)
	}
	r := &replay{
		t: t, server: s, expected: expected, name: c.Name,
		vars:        strings.NewReplacer("$CLIENT", s.client, "$PEER", s.peer, "$VERSION", version),
		expirations: map[string]string{},
		set:         map[string]time.Time{},
		expiring:    map[string]time.Time{},
		open:        map[string]*background{},
	}
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
		if !want.open {
			delete(r.open, s.Collect)
			r.compare(number, s, want, b.wait(r.t), time.Now())
			return
		}
		if !b.stillOpen() {
			o := <-b.answer
			r.t.Fatalf("step %d: the watch was answered: %d %s %v", number, o.status, o.body, o.err)
		}
		delete(r.open, s.Collect)
		b.conn.Close()
		<-b.answer
		r.server.waitWatchers(r.openWatches())
	case s.Repeated > 0:
		c := r.server.dial()
		for i := range s.Repeated {
			answer, err := c.roundTrip(s.Request.wire(r.rewrite(i)))
			if err != nil {
				r.t.Fatalf("step %d, request %d: %v", number, i, err)
			}
			if i == s.Repeated-1 {
				r.compare(number, s, want, answer, time.Now())
			} else if answer.status != want.status {
				r.t.Fatalf("step %d, request %d: status %d, want %d", number, i, answer.status, want.status)
			}
		}
	default:
		sent := time.Now()
		r.compare(number, s, want, r.server.do(s.Request.wire(r.rewrite(0))), sent)
	}
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
		if name != "index" && name != "waitIndex" {
			return strings.ReplaceAll(value, "{i}", strconv.Itoa(i))
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return value
		}
		for _, pair := range slices.Backward(r.indexes) {
			if pair[0] <= n {
				return strconv.FormatUint(pair[1]+(n-pair[0]), 10)
			}
		}
		return value
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
			return r.server.do(get("/v1/keys"+key)).status == 404
		})
		delete(r.expiring, key)
	}
	if !waited {
		<-time.After(d)
	}
}
