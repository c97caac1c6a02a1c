package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// deviations is the expectation file: every deliberate difference between the
// answers of this server and the recorded ones. Every reason is quoted from the
// API document.
type deviations struct {
	// Rules maps the name of a rule of this file to its reason. The rules
	// are written in Go below, because they apply to many steps.
	Rules map[string]string `json:"rules"`
	// Cases maps the name of a case to what differs in single steps, after
	// the rules.
	Cases map[string][]deviation `json:"cases"`

	mu   sync.Mutex
	used map[string]bool // rules that changed an expectation
}

// deviation is what this server answers instead in one step.
type deviation struct {
	Step   int    `json:"step"`
	Reason string `json:"reason"`

	Status *int            `json:"status"` // another status
	Body   json.RawMessage `json:"body"`   // another body: JSON, or text as a JSON string; "*" in it matches any text
	Index  *uint64         `json:"index"`  // another index in the recorded body
	Open   bool            `json:"open"`   // a watch that stays open although the recorded one was answered
	// Answered marks a watch that is answered at once although the recorded one
	// stayed open.
	Answered bool `json:"answered"`
	// Shift counts the log entries that this server uses in the step and the
	// recorded one did not (negative: the other way round). It applies to
	// all indexes from this step on.
	Shift int64 `json:"shift"`
}

// expectation is what a step must answer.
type expectation struct {
	status   int
	body     any    // the parsed body if it is JSON
	text     string // the body if it is not
	size     int    // length and digest of a body that is not known in full
	sha256   string
	open     bool // no answer yet
	answered bool // for a request in the background: answered at once
}

// recordedExpectation is the answer as recorded.
func recordedExpectation(s recordedStep) (expectation, error) {
	e := expectation{open: s.Incomplete != "", answered: s.AnsweredAlready, size: s.BodyLen, sha256: s.BodySHA256}
	if s.Status != nil {
		e.status = *s.Status
	}
	if strings.HasPrefix(s.Body, "{") || strings.HasPrefix(s.Body, "[") {
		body, err := parseJSON(s.Body)
		if err != nil {
			// Two answers to one request: 0.1.0 answered an error and went on.
			e.text = s.Body
			return e, nil
		}
		e.body = body
		return e, nil
	}
	e.text = s.Body
	return e, nil
}

// expect returns what this server must answer in a step: the recorded
// answer, changed by the rules, by the difference of indexes and by the
// deviations of the step.
func (d *deviations) expect(name string, number int, s recordedStep, shift int64) (expectation, error) {
	e, err := recordedExpectation(s)
	if err != nil {
		return e, err
	}
	for _, rule := range rules {
		if rule.apply(s, &e) {
			d.mu.Lock()
			d.used[rule.name] = true
			d.mu.Unlock()
		}
	}
	e.body = mapFields(e.body, "index", func(v any) any {
		n, err := strconv.ParseInt(string(v.(json.Number)), 10, 64)
		if err != nil {
			return v
		}
		return json.Number(strconv.FormatInt(n+shift, 10))
	})
	for _, dev := range d.Cases[name] {
		if dev.Step != number {
			continue
		}
		before := e
		if dev.Status != nil {
			e.status = *dev.Status
		}
		if dev.Body != nil {
			e.body, e.text, e.size, e.sha256 = nil, "", 0, ""
			body, err := parseJSON(string(dev.Body))
			if err != nil {
				return e, err
			}
			if text, ok := body.(string); ok {
				e.text = text
			} else {
				e.body = body
			}
		}
		if dev.Index != nil {
			e.body = mapFields(e.body, "index", func(any) any {
				return json.Number(strconv.FormatUint(*dev.Index, 10))
			})
		}
		if dev.Open {
			e = expectation{open: true}
		} else if dev.Status != nil {
			e.open = false
		}
		if dev.Answered {
			e.answered = true
		}
		if dev.Shift == 0 && before.equal(e) {
			return e, fmt.Errorf("the listed deviation is no deviation")
		}
	}
	return e, nil
}

func (e expectation) equal(other expectation) bool {
	return e.status == other.status && e.text == other.text && e.sha256 == other.sha256 &&
		e.open == other.open && e.answered == other.answered &&
		compareJSON(e.body, other.body, "", nil) == ""
}

// shift returns how many more log entries than the recorded server this one
// uses in a step.
func (d *deviations) shift(name string, number int) int64 {
	for _, dev := range d.Cases[name] {
		if dev.Step == number {
			return dev.Shift
		}
	}
	return 0
}

// rule is a deviation that follows from the recorded step itself.
type rule struct {
	name  string
	apply func(recordedStep, *expectation) bool
}

var rules = []rule{
	{"content type", func(s recordedStep, e *expectation) bool {
		return e.body != nil // checked in replay.compare
	}},
	{"version", func(s recordedStep, e *expectation) bool {
		if path := stepPath(s); e.text != "etcd v0.1.0" || path != "/" && path != "/version" {
			return false
		}
		e.text = "$VERSION"
		return true
	}},
	{"unknown path", func(s recordedStep, e *expectation) bool {
		if e.text != "etcd v0.1.0" {
			return false
		}
		e.status, e.text = 404, ""
		e.body = errorBody(404, "Not Found", "/"+strings.Trim(stepPath(s), "/"))
		return true
	}},
	{"wrong method", func(s recordedStep, e *expectation) bool {
		if e.status != 405 || s.Request.Method == "HEAD" {
			return false
		}
		e.body = errorBody(405, "Method Not Allowed", s.Request.Method)
		return true
	}},
	{"listing", func(s recordedStep, e *expectation) bool {
		key, isKey := strings.CutPrefix(stepPath(s), "/v1/keys")
		if !isKey || s.Request.Method != "GET" {
			return false
		}
		switch body := e.body.(type) {
		case object:
			key, err := url.PathUnescape("/" + strings.Trim(key, "/"))
			if err != nil || body.get("action") != "GET" || body.get("key") == key {
				return false
			}
			e.body = []any{body}
			return true
		case []any:
			sorted := slices.Clone(body)
			slices.SortFunc(sorted, func(a, b any) int {
				return strings.Compare(a.(object).get("key").(string), b.(object).get("key").(string))
			})
			e.body = sorted
			return compareJSON(body, sorted, "", nil) != ""
		}
		return false
	}},
	{"watch index", func(s recordedStep, e *expectation) bool {
		if s.Request == nil || s.Request.Method != "POST" || !strings.HasPrefix(stepPath(s), "/v1/watch/") {
			return false
		}
		if _, err := strconv.ParseUint(s.Request.field("index"), 10, 64); err == nil {
			return false
		}
		if s.Collect == "" {
			e.answered = true
			return true
		}
		*e = expectation{status: 400, body: errorBody(203, "The given index in POST form is not a number", "Watch From Index")}
		return true
	}},
}

func errorBody(code int, message, cause string) object {
	return object{
		{"errorCode", json.Number(strconv.Itoa(code))},
		{"message", message},
		{"cause", cause},
	}
}

// stepPath returns the path of a step's request without its query.
func stepPath(s recordedStep) string {
	if s.Request == nil {
		return ""
	}
	path, _, _ := strings.Cut(s.Request.Path, "?")
	return path
}

// loadDeviations reads the expectation file and checks that every reason is
// quoted from the API document and every deviation belongs to a recorded
// step.
func loadDeviations(t *testing.T, path, document string, cases []recordedCase) *deviations {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := &deviations{used: map[string]bool{}}
	dec := json.NewDecoder(file)
	dec.DisallowUnknownFields()
	if err := dec.Decode(d); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	doc, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(what, reason string) {
		if len(reason) < 20 || !strings.Contains(string(doc), reason) {
			t.Errorf("%s: the reason is not quoted from %s: %q", what, document, reason)
		}
	}
	for _, r := range rules {
		quoted("rule "+r.name, d.Rules[r.name])
	}
	if len(d.Rules) != len(rules) {
		t.Errorf("%s lists %d rules, there are %d", path, len(d.Rules), len(rules))
	}
	for name, devs := range d.Cases {
		i := slices.IndexFunc(cases, func(c recordedCase) bool { return c.Name == name })
		if i < 0 {
			t.Errorf("%s: there is no case %s", path, name)
			continue
		}
		seen := map[int]bool{}
		for _, dev := range devs {
			what := fmt.Sprintf("%s, step %d", name, dev.Step)
			quoted(what, dev.Reason)
			if dev.Step < 0 || dev.Step >= len(cases[i].Steps) || seen[dev.Step] {
				t.Errorf("%s: no such step, or listed twice", what)
			}
			seen[dev.Step] = true
		}
	}
	return d
}
