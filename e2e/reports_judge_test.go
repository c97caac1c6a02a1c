package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// judgement is what must be seen of a step.
type judgement struct {
	Status       *int              `json:"status"` // 0: the connection ends without an answer
	BodyRE       *string           `json:"body_re"`
	BodyNotRE    string            `json:"body_not_re"`
	HeaderRE     map[string]string `json:"header_re"`
	HeaderAbsent []string          `json:"header_absent"`
	Open         *bool             `json:"open"`   // the answer goes on
	Within       float64           `json:"within"` // seconds
	Broken       bool              `json:"broken"` // it ends too early
	Count        *occurrences      `json:"count"`
	MaxMS        int               `json:"max_ms"` // milliseconds
	Any          []judgement       `json:"any"`    // one of these holds
}

func (j *judgement) UnmarshalJSON(data []byte) error {
	type plain judgement
	return unmarshalStrictly(data, (*plain)(j))
}

// occurrences is how often a pattern must be in a body, [pattern, n] in JSON.
type occurrences struct {
	pattern string
	n       int
}

func (o *occurrences) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&o.pattern, &o.n})
}

// observed is an answer, or as much of it as there is.
type observed struct {
	outcome
	ended bool
	took  time.Duration
}

func (o observed) String() string {
	return fmt.Sprintf("%d %v\n%.1000s\nended: %v %v", o.status, o.header, o.body, o.ended, o.err)
}

// find returns what is at a path in the body, or in a header.
func (o observed) find(path string) (string, error) {
	if name, ok := strings.CutPrefix(path, "header:"); ok {
		if value := o.header.Get(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("no header %s", name)
	}
	value, err := parseJSON(o.body)
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(path, ".") {
		fields, _ := value.(object)
		value = fields.get(name)
	}
	if value == nil {
		return "", fmt.Errorf("nothing is at %s", path)
	}
	return fmt.Sprint(value), nil
}

// problem returns what is wrong with an answer.
func (r *reported) problem(j *judgement, o observed) string {
	if j == nil {
		return ""
	}
	if len(j.Any) > 0 {
		var problems []string
		for _, one := range j.Any {
			problem := r.problem(&one, o)
			if problem == "" {
				return ""
			}
			problems = append(problems, problem)
		}
		return strings.Join(problems, ", and ")
	}
	matches := func(pattern, text string) bool {
		return regexp.MustCompile(r.substitute(pattern)).MatchString(text)
	}
	switch {
	case j.Status != nil && o.status != *j.Status:
		return fmt.Sprintf("the status is %d, want %d", o.status, *j.Status)
	case j.Open != nil && *j.Open == o.ended:
		return fmt.Sprintf("it has ended: %v", o.ended)
	case j.Broken && o.err == nil:
		return "it is not cut off"
	case j.BodyRE != nil && !matches(*j.BodyRE, o.body):
		return fmt.Sprintf("the body does not match %s", r.substitute(*j.BodyRE))
	case j.BodyNotRE != "" && matches(j.BodyNotRE, o.body):
		return fmt.Sprintf("the body matches %s", j.BodyNotRE)
	case j.MaxMS > 0 && o.took > time.Duration(j.MaxMS)*time.Millisecond:
		return fmt.Sprintf("it takes %s", o.took)
	}
	for name, pattern := range j.HeaderRE {
		if !matches(pattern, o.header.Get(name)) {
			return fmt.Sprintf("the header %s is %q, want %s", name, o.header.Get(name), r.substitute(pattern))
		}
	}
	for _, name := range j.HeaderAbsent {
		if o.header.Get(name) != "" {
			return fmt.Sprintf("there is a header %s: %s", name, o.header.Get(name))
		}
	}
	if j.Count != nil {
		if n := len(regexp.MustCompile(j.Count.pattern).FindAllString(o.body, -1)); n != j.Count.n {
			return fmt.Sprintf("the body has %s %d times, want %d", j.Count.pattern, n, j.Count.n)
		}
	}
	return ""
}

// await waits until an answer that arrives is the wanted one, and if it has not ended then, or nothing
// had to arrive, until some time has passed in which it still is. whole says that an answer of which
// nothing else is said must have ended. look returns what there is, and whether to judge it yet.
func (r *reported) await(what string, j *judgement, sure time.Duration, whole bool, look func() (observed, bool)) {
	begin := time.Now()
	whole = whole && j.Open == nil && len(j.Any) == 0
	goesOn := j.Open != nil && *j.Open || j.BodyRE == nil && j.BodyNotRE != ""
	var last observed
	var problem string
	holdsSoon(func() bool {
		seen, ready := look()
		if !ready {
			return false
		}
		last, problem = seen, r.problem(j, seen)
		switch {
		case seen.ended:
			return true
		case problem != "":
			return false
		case whole:
			problem = "it has not ended"
			return false
		}
		return !goesOn || time.Since(begin) >= sure
	})
	if problem != "" {
		r.t.Fatalf("%s: %s\nanswer: %s", what, problem, last)
	}
}
