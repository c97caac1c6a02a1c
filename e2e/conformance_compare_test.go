package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"
)

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
	if diff := r.oracle.headers(r, want, got); diff != "" {
		fail("%s\nheaders: %v", diff, got.header)
	}
	switch {
	case want.sha256 != "":
		body := got.body
		if r.oracle.asRecorded != nil {
			body = r.oracle.asRecorded(r, body)
		}
		sum := sha256.Sum256([]byte(body))
		if len(body) != want.size || hex.EncodeToString(sum[:]) != want.sha256 {
			fail("the body has %d bytes, want %d with another digest", len(body), want.size)
		}
	case want.body == nil:
		if text := r.vars.Replace(want.text); got.body != text && s.Request.Method != "HEAD" {
			fail("the body is not %q", text)
		}
	default:
		body, newline, err := parseAnswer(got.body)
		if err != nil {
			fail("%v", err)
			return
		}
		if newline != want.newline {
			fail("a newline ends the body: %v, want %v", newline, want.newline)
		}
		if diff := compareJSON(r.fill(want.body), body, "body", r.fields(s, sent)); diff != "" {
			fail("%s", diff)
		}
		if r.oracle.learn != nil {
			r.oracle.learn(r, s, body)
		}
		r.expect(r.oracle.node(body))
	}
}

// parseAnswer parses the body of an answer: one JSON value, or an array for several lines of them.
func parseAnswer(text string) (body any, newline bool, err error) {
	text, newline = strings.CutSuffix(text, "\n")
	lines := strings.Split(text, "\n")
	values := make([]any, len(lines))
	for i, line := range lines {
		if values[i], err = parseJSON(line); err != nil {
			return nil, newline, err
		}
	}
	if len(values) == 1 {
		return values[0], newline, nil
	}
	return values, newline, nil
}

// fields returns how single fields of an answer are compared.
func (r *replay) fields(s recordedStep, sent time.Time) map[string]func(want, got any) string {
	expiration := "" // the recorded one; the field precedes the ttl
	fields := map[string]func(want, got any) string{
		"expiration": func(want, got any) string {
			expiration, _ = want.(string)
			return r.expiration(s, want, got, sent)
		},
		"ttl":     func(want, got any) string { return r.ttl(want, got, r.set[expiration]) },
		"index":   r.index,
		"cause":   sameText,
		"message": sameText,
		// of /version
		"etcdserver":  sameText,
		"etcdcluster": sameText,
		"release":     sameText,
	}
	if r.oracle.fields != nil {
		maps.Copy(fields, r.oracle.fields(r, s))
	}
	return fields
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

// expect remembers when the key of an answer expires.
func (r *replay) expect(node object) {
	key, _ := node.get("key").(string)
	delete(r.expiring, key)
	if text, ok := node.get("expiration").(string); ok && node.get("action") != "DELETE" {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			r.expiring[key] = at
		}
	}
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

// expiration compares two expiration fields: equal recorded times must be
// equal in ours, and a new one must be the given ttl away from the request.
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
	r.expirations[old], r.set[old] = text, sent
	ttl, err := strconv.ParseInt(s.Request.field("ttl"), 10, 64)
	if err != nil {
		return "appears out of nowhere"
	}
	if off := at.Sub(sent.Add(time.Duration(ttl) * time.Second)); off < -time.Second || off > waitLimit {
		return fmt.Sprintf("is %s, which is %s off", text, off)
	}
	return ""
}

// ttl compares two ttl fields of a key whose TTL was set by a request sent at set. Ours may
// be higher by a second, for rounding, and by more where the recording waited for a
// restart. It may be lower by the real time since set: the host may be busy.
func (r *replay) ttl(want, got any, set time.Time) string {
	above, below := int64(1), 1+int64(time.Since(set)/time.Second)
	if r.restarted {
		above = 3
	}
	w, err1 := strconv.ParseInt(fmt.Sprint(want), 10, 64)
	g, err2 := strconv.ParseInt(fmt.Sprint(got), 10, 64)
	switch {
	case set.IsZero():
		return "comes without an expiration"
	case err1 != nil || err2 != nil:
		return fmt.Sprintf("is %v, want %v", got, want)
	case g-w > above || w-g > below:
		return fmt.Sprintf("is %d, want %d, or at most %d more, or %d less", g, w, above, below)
	}
	return ""
}

// The comparison of ttl fields tolerates a busy host, and still finds differences.
func TestCompareTTL(t *testing.T) {
	for _, c := range []struct {
		name      string
		got       string
		passed    time.Duration // since the TTL was set, at least
		restarted bool
		same      bool
	}{
		{"the same", "97", 0, false, true},
		{"rounded", "98", 0, false, true},
		{"too much", "99", 0, false, false},
		{"too much after a long time", "99", time.Hour, false, false},
		{"the recording waited for a restart", "100", 0, true, true},
		{"too much even for that", "101", 0, true, false},
		{"a busy machine", "93", 4 * time.Second, false, true},
		{"time that has not passed", "93", -time.Hour, false, false},
		{"no number", "x", 0, false, false},
	} {
		r := &replay{restarted: c.restarted}
		diff := r.ttl(json.Number("97"), json.Number(c.got), time.Now().Add(-c.passed))
		if (diff == "") != c.same {
			t.Errorf("%s: %q", c.name, diff)
		}
	}
	if diff := new(replay).ttl(json.Number("97"), json.Number("97"), time.Time{}); diff == "" {
		t.Error("a ttl of which nobody knows when it was set passes")
	}
}

// sameText compares two strings; "*" as the wanted one matches any.
func sameText(want, got any) string {
	if text, ok := got.(string); want == "*" && ok && text != "" || want == got {
		return ""
	}
	return fmt.Sprintf("is %q, want %q", got, want)
}

// countLines returns how many lines a body has, which are JSON values that end in a newline.
func countLines(body any) int {
	switch b := body.(type) {
	case nil:
		return 0
	case []any:
		return len(b)
	}
	return 1
}
