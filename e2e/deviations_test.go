package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
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
	oracle *oracle
	// Rules maps the name of a rule to its reason. The rules are written in Go, because they
	// apply to many steps.
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
	Index  *uint64         `json:"index"`  // another index in the recorded answer
	// Headers are those that do not follow from the body.
	Headers map[string]string `json:"headers"`
	Open    bool              `json:"open"` // a watch that stays open although the recorded one was answered
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
	headers  map[string]string
	body     any    // the parsed body if it is JSON, an array if it has several lines
	newline  bool   // ends a body of JSON
	text     string // the body if it is not
	size     int    // length and digest of a body that is not known in full
	sha256   string
	open     bool // the answer has not ended yet; with a status: it has begun
	answered bool // for a request in the background: answered at once
}

// recordedExpectation is the answer as recorded.
func recordedExpectation(s recordedStep) expectation {
	e := expectation{
		headers: maps.Clone(s.Headers), open: strings.HasPrefix(s.Incomplete, "still open") || s.Incomplete == "timeout",
		answered: s.AnsweredAlready, size: s.BodyLen, sha256: s.BodySHA256,
	}
	if s.Status != nil {
		e.status = *s.Status
	}
	if strings.HasPrefix(s.Body, "{") || strings.HasPrefix(s.Body, "[") {
		// Without a value: two answers to one request. 0.1.0 answered an error and went on.
		if body, newline, err := parseAnswer(s.Body); err == nil {
			e.body, e.newline = body, newline
			return e
		}
	}
	e.text = s.Body
	return e
}

// expect returns what this server must answer in a step: the recorded
// answer, changed by the rules, by the difference of indexes and by the
// deviations of the step.
func (d *deviations) expect(name string, number int, s recordedStep, shift int64) (expectation, error) {
	e := recordedExpectation(s)
	for _, rule := range d.oracle.rules {
		if rule.apply(s, &e) {
			d.mu.Lock()
			d.used[rule.name] = true
			d.mu.Unlock()
		}
	}
	if shift != 0 {
		e.body = mapFields(e.body, "index", func(v any) any {
			n, err := strconv.ParseInt(string(v.(json.Number)), 10, 64)
			if err != nil {
				return v
			}
			return json.Number(strconv.FormatInt(n+shift, 10))
		})
	}
	for _, dev := range d.Cases[name] {
		if dev.Step != number {
			continue
		}
		before := e
		e.headers = maps.Clone(e.headers)
		if dev.Status != nil {
			e.status = *dev.Status
		}
		if dev.Body != nil {
			e.body, e.newline, e.text, e.size, e.sha256 = nil, false, "", 0, ""
			body, err := parseJSON(string(dev.Body))
			if err != nil {
				return e, err
			}
			if text, ok := body.(string); ok {
				e.text = text
			} else {
				e.body = body
			}
			d.oracle.frame(s, &e)
		}
		maps.Copy(e.headers, dev.Headers)
		if dev.Index != nil {
			index := strconv.FormatUint(*dev.Index, 10)
			e.body = mapFields(e.body, "index", func(any) any { return json.Number(index) })
			if e.headers["X-Etcd-Index"] != "" {
				e.headers["X-Etcd-Index"] = index
			}
		}
		if dev.Open {
			e = expectation{open: true, headers: e.headers}
			if dev.Status != nil {
				e.status = *dev.Status
			}
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
	return e.status == other.status && maps.Equal(e.headers, other.headers) && e.text == other.text && e.sha256 == other.sha256 &&
		e.newline == other.newline && e.open == other.open && e.answered == other.answered &&
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

// loadDeviations reads the expectation file and checks that every reason is
// quoted from the API document and every deviation belongs to a recorded
// step.
func (o *oracle) loadDeviations(t *testing.T, cases []recordedCase) *deviations {
	t.Helper()
	path, document, rules := o.deviations, o.document, o.rules
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := &deviations{oracle: o, used: map[string]bool{}}
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
		if !o.reason.MatchString(reason) || !strings.Contains(string(doc), reason) {
			t.Errorf("%s: the reason is not quoted as it has to be from %s: %q", what, document, reason)
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
