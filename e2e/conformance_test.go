package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestConformance replays what was recorded from etcd 0.1.0 against a fresh
// server per case.
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
	// A run that was narrowed with -run cannot tell.
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

	vars        *strings.Replacer // $CLIENT, $PEER, $VERSION
	shift       int64             // ours minus recorded index
	indexes     [][2]uint64       // recorded index and ours, ascending
	expirations map[string]string // recorded expiration to ours
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

// step carries out one step and checks what comes of it.
func (r *replay) step(number int, s recordedStep, want expectation) {
	switch {
	case s.Sleep > 0:
		r.sleep(time.Duration(s.Sleep * float64(time.Second)))
	case s.Restart:
		r.restarted = true
		r.server.stop()
		r.server.start()
		for _, at := range r.expiring {
			// Usually the key expires after the restart. On a machine too
			// slow for that the log entries come in another order.
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

// sleep lets the recorded time pass. Where keys expire in that time, their
// expiry is what is waited for.
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

// compare checks an answer against the expectation.
func (r *replay) compare(number int, s recordedStep, want expectation, got reply, sent time.Time) {
	fail := func(format string, args ...any) {
		r.t.Helper()
		r.t.Errorf("step %d, %s %s: %s\nanswer: %d %.1000s\nrecorded: %.1000s", number, s.Request.Method, s.Request.Path,
			fmt.Sprintf(format, args...), got.status, got.body, s.Body)
	}
	if got.status != want.status {
		fail("status is %d, want %d", got.status, want.status)
		return
	}
	if got.status == 405 && got.header.Get("Allow") == "" {
		fail("no Allow header")
	}
	contentType := got.header.Get("Content-Type")
	switch {
	case want.sha256 != "":
		sum := sha256.Sum256([]byte(got.body))
		if len(got.body) != want.size || hex.EncodeToString(sum[:]) != want.sha256 {
			fail("the body has %d bytes, want %d with another digest", len(got.body), want.size)
		}
	case want.body == nil:
		if text := r.vars.Replace(want.text); got.body != text && s.Request.Method != "HEAD" {
			fail("the body is not %q", text)
		}
		return
	default:
		body, err := parseJSON(got.body)
		if err != nil {
			fail("%v", err)
			return
		}
		diff := compareJSON(r.fill(want.body), body, "body", map[string]func(want, got any) string{
			"expiration": func(want, got any) string { return r.expiration(s, want, got, sent) },
			"ttl":        r.ttl,
			"index":      r.index,
			"cause":      sameText,
			"message":    sameText,
		})
		if diff != "" {
			fail("%s", diff)
		}
		r.learn(s, body)
	}
	if contentType != "application/json" {
		fail("the content type is %q", contentType)
	}
}

// fill replaces the variables in all values of an expected body.
func (r *replay) fill(body any) any {
	for _, name := range []string{"value", "prevValue", "cause"} {
		body = mapFields(body, name, func(v any) any {
			if text, ok := v.(string); ok {
				return r.vars.Replace(text)
			}
			return v
		})
	}
	return body
}

// learn remembers the indexes of an answer and the keys that expire.
func (r *replay) learn(s recordedStep, body any) {
	if recorded, err := parseJSON(s.Body); err == nil {
		if old, ok := indexOf(recorded); ok {
			if ours, ok := indexOf(body); ok {
				r.indexes = append(r.indexes, [2]uint64{old, ours})
				slices.SortFunc(r.indexes, func(a, b [2]uint64) int { return int(int64(a[0] - b[0])) })
			}
		}
	}
	e, ok := body.(object)
	if !ok {
		return
	}
	key, _ := e.get("key").(string)
	delete(r.expiring, key)
	if text, ok := e.get("expiration").(string); ok && e.get("action") != "DELETE" {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			r.expiring[key] = at
		}
	}
}

// indexOf returns the index of an answer about one key.
func indexOf(body any) (uint64, bool) {
	o, ok := body.(object)
	if !ok {
		return 0, false
	}
	text, ok := o.get("index").(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	return n, err == nil
}

// index compares two index fields.
func (r *replay) index(want, got any) string {
	n, err := strconv.ParseUint(fmt.Sprint(got), 10, 64)
	if err != nil {
		return err.Error()
	}
	if r.loose {
		if n < r.last && fmt.Sprint(want) != fmt.Sprint(got) {
			return fmt.Sprintf("is %d after %d", n, r.last)
		}
	} else if want != got {
		return fmt.Sprintf("is %v, want %v", got, want)
	}
	r.last = max(r.last, n)
	return ""
}

// expiration compares two expiration fields: the same recorded time is the
// same time of ours, and a new one is the given ttl away from the request.
func (r *replay) expiration(s recordedStep, want, got any, sent time.Time) string {
	old, _ := want.(string)
	text, _ := got.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !strings.HasSuffix(text, "Z") {
		return fmt.Sprintf("is %v, not a time in UTC", got)
	}
	if known, ok := r.expirations[old]; ok {
		if known != text {
			return fmt.Sprintf("is %s, was %s before", text, known)
		}
		return ""
	}
	r.expirations[old] = text
	ttl, err := strconv.ParseInt(s.Request.field("ttl"), 10, 64)
	if err != nil {
		return "appears out of nowhere"
	}
	if off := at.Sub(sent.Add(time.Duration(ttl) * time.Second)); off < -time.Second || off > waitLimit {
		return fmt.Sprintf("is %s, which is %s off", text, off)
	}
	return ""
}

// ttl compares two ttl fields. Real time passes during a replay, so they may differ by
// a second, and by more where the recording waited for a restart.
func (r *replay) ttl(want, got any) string {
	slack := int64(1)
	if r.restarted {
		slack = 3
	}
	w, err1 := strconv.ParseInt(fmt.Sprint(want), 10, 64)
	g, err2 := strconv.ParseInt(fmt.Sprint(got), 10, 64)
	if err1 != nil || err2 != nil || g-w > slack || w-g > slack {
		return fmt.Sprintf("is %v, want %v or at most %d off", got, want, slack)
	}
	return ""
}

// sameText compares two strings of which the wanted one may be "*" for any.
func sameText(want, got any) string {
	if text, ok := got.(string); want == "*" && ok && text != "" || want == got {
		return ""
	}
	return fmt.Sprintf("is %q, want %q", got, want)
}
