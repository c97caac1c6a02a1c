package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// report is a case out of public bug reports about etcd's v2 API.
type report struct {
	Name    string       `json:"case"`
	Kind    string       `json:"kind"`    // a: as etcd 3.4 does it; b: better
	Server  []string     `json:"server"`  // flags, by names of their own
	Cluster int          `json:"cluster"` // members; 0 is one
	Steps   []reportStep `json:"steps"`
}

// reportStep is a step of a report; its kind is given by the fields that are set. Without any it is a
// request.
type reportStep struct {
	recordedRequest
	Repeat int               `json:"repeat"` // {i} in the request counts from 0; the last answer is judged
	Save   map[string]string `json:"save"`   // names for what is at a path in the body, or header:Name
	Node   int               `json:"node"`   // 0 is the leader

	Background string `json:"background"` // the request is left open, by this name
	Slow       bool   `json:"slow"`       // its body is not read before it is collected
	Collect    string `json:"collect"`
	Idle       bool   `json:"idle"` // a slow one is read until nothing comes for a second

	Raw       string  `json:"raw"` // bytes to send
	HalfClose bool    `json:"half_close"`
	Sleep     float64 `json:"sleep"` // seconds
	Op        string  `json:"op"`    // stop, as by a crash, term or start

	Expect   *judgement `json:"expect"`
	Expect34 *judgement `json:"expect34"` // of etcd 3.4, if that is something else
}

func (s *reportStep) UnmarshalJSON(data []byte) error {
	type plain reportStep
	return unmarshalStrictly(data, (*plain)(s))
}

// unmarshalStrictly is json.Unmarshal that refuses fields which it does not know, and so would not
// check.
func unmarshalStrictly(data []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(to)
}

// reportFlags are our flags for those of the reports, and etcd's.
var reportFlags = map[string]struct{ ours, reference []string }{
	"cors=*":       {ours: []string{"-cors", "*"}, reference: []string{"--cors=*"}},
	"history=1000": {ours: []string{"-m", "1000"}}, // etcd has no other
}

// reportsLikeEtcd are the reports that ask for something better than what etcd does, and get what etcd
// does, with the sentence of the API document that says so.
var reportsLikeEtcd = map[string]string{
	"dir_update_index": "An update of a directory changes its time to live, and not the `modifiedIndex` that a GET shows.",
}

// TestReportsV2 replays what users of etcd have reported: what must be as it was, and what must be
// better.
func TestReportsV2(t *testing.T) {
	cases, err := loadRecording[report]("testdata/v2-reports.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../docs/api-v2.md")
	if err != nil {
		t.Fatal(err)
	}
	// Those that take longest begin first, and the others meanwhile.
	slices.SortStableFunc(cases, func(a, b report) int { return b.repeats() - a.repeats() })
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.Name
	}
	for name, reason := range reportsLikeEtcd {
		if !slices.Contains(names, name) || !strings.Contains(string(document), reason) {
			t.Errorf("there is no report %s, or this is not in the document: %s", name, reason)
		}
	}
	runCases(t, names, func(t *testing.T, i int) { replayReport(t, cases[i]) })
}

// repeats returns how many requests are sent for steps that repeat one.
func (c report) repeats() int {
	n := 0
	for _, s := range c.Steps {
		n += s.Repeat
	}
	return n
}

// reported is the state of one report.
type reported struct {
	t        *testing.T
	likeEtcd bool
	nodes    []*server // the leader first
	saved    map[string]string
	open     map[string]*watched
	slept    bool // the step before has waited for something
}

// watched is a request in the background.
type watched struct {
	*background
	resume func()
	ended  *outcome // nil: it has not ended
}

func replayReport(t *testing.T, c report) {
	_, likeEtcd := reportsLikeEtcd[c.Name]
	recorded := c.Kind == "a" || slices.ContainsFunc(c.Steps, func(s reportStep) bool { return s.Expect34 != nil })
	if *reference != "" && !recorded {
		t.Skip("it was not recorded what etcd does instead")
	}
	r := &reported{
		t: t, likeEtcd: likeEtcd || *reference != "", nodes: startReported(t, c),
		saved: map[string]string{}, open: map[string]*watched{},
	}
	for number, s := range c.Steps {
		slept := s.Sleep >= 0.5
		r.step(fmt.Sprintf("step %d, %s%s %.200s", number, s.Method, s.Collect, s.Path), s)
		if t.Failed() {
			return
		}
		r.slept = slept
	}
}

// passwordFlags are flags for reports about users. With the race detector a password takes seconds at
// the usual cost, so it has the lowest where nothing is said of how long it takes.
func (c report) passwordFlags() []string {
	switch {
	case !slices.ContainsFunc(c.Steps, func(s reportStep) bool { return strings.HasPrefix(s.Path, "/v2/auth/") }):
		return nil
	case slices.ContainsFunc(c.Steps, func(s reportStep) bool { return s.Expect != nil && s.Expect.MaxMS > 0 }):
		return []string{"-request-timeout", waitLimit.String()}
	}
	return []string{"--bcrypt-cost", "4"}
}

// startReported starts the servers of a report.
func startReported(t *testing.T, c report) []*server {
	n := max(1, c.Cluster)
	var ours, others []string
	for _, name := range c.Server {
		flags, ok := reportFlags[name]
		if !ok {
			t.Fatalf("no flag for %q", name)
		}
		ours, others = append(ours, flags.ours...), append(others, flags.reference...)
	}
	ours = append(ours, c.passwordFlags()...)
	var members *cluster
	switch {
	case *reference != "":
		members = &cluster{t: t, members: newReference(t, n, others...)}
		members.start(members.members...)
	case n == 1:
		return []*server{startServer(t, ours...)}
	default:
		members = startCluster(t, n, ours...)
	}
	var nodes []*server
	waitUntil(t, "a leader", func() bool {
		for _, s := range members.members {
			if strings.Contains(s.do(get("/v2/stats/self")).body, `"state":"StateLeader"`) {
				nodes = append([]*server{s}, members.others(s)...)
				return true
			}
		}
		return false
	})
	return nodes
}

// step carries out one step and judges what is to be seen of it.
func (r *reported) step(what string, s reportStep) {
	expect := s.Expect
	if r.likeEtcd && s.Expect34 != nil {
		expect = s.Expect34
	}
	node := r.nodes[s.Node]
	switch {
	case s.Sleep > 0:
		pause(r.t, time.Duration(s.Sleep*float64(time.Second)))
	case s.Op == "stop":
		node.kill()
	case s.Op == "term":
		node.stop()
	case s.Op == "start":
		node.start()
	case s.Op != "":
		r.t.Fatalf("%s: what is %q?", what, s.Op)
	case s.Raw != "":
		r.raw(what, s, expect)
	case s.Background != "":
		r.background(what, s, expect)
	case s.Collect != "":
		r.collect(what, s, expect)
	default:
		r.exchange(what, s, expect)
	}
}

// exchange sends a request and judges its answer. What a sleep was for may take longer on a busy host,
// so a GET after it is sent until its answer is the wanted one.
func (r *reported) exchange(what string, s reportStep, expect *judgement) {
	var last observed
	once := func() bool {
		begin := time.Now()
		last = r.repeat(what, s, expect)
		last.took = time.Since(begin)
		return r.problem(expect, last) == ""
	}
	switch {
	case r.slept && s.Method == "GET":
		holdsSoon(once)
	case expect != nil && expect.MaxMS > 0:
		// A host that stalls is no slow server, which is slow every time.
		for range 5 {
			if once() {
				break
			}
		}
	default:
		once()
	}
	if problem := r.problem(expect, last); problem != "" {
		r.t.Fatalf("%s: %s\nanswer: %s", what, problem, last)
	}
	for name, path := range s.Save {
		value, err := last.find(path)
		if err != nil {
			r.t.Fatalf("%s: %v\nanswer: %s", what, err, last)
		}
		r.saved[name] = value
	}
}

// repeat sends a request as often as the step says, on one connection, and returns the last answer.
func (r *reported) repeat(what string, s reportStep, expect *judgement) (last observed) {
	c, err := dial(r.nodes[s.Node].client)
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	defer c.Close()
	for i := range max(1, s.Repeat) {
		answer, err := c.roundTrip(s.wire(r.fill(s.Repeat, i)))
		last = observed{outcome: outcome{answer, err}, ended: true}
		if err != nil && i < s.Repeat {
			r.t.Fatalf("%s, request %d: %v", what, i, err)
		}
		if expect != nil && expect.Status != nil && s.Repeat > 0 && answer.status != *expect.Status {
			return last
		}
	}
	return last
}

// background begins a request and judges as much of its answer as there is then.
func (r *reported) background(what string, s reportStep, expect *judgement) {
	resume := make(chan struct{})
	w := &watched{resume: sync.OnceFunc(func() { close(resume) })}
	r.t.Cleanup(w.resume)
	if !s.Slow {
		w.resume()
	}
	w.background = r.nodes[s.Node].leaveOpen(s.wire(r.fill(0, 0)), resume)
	r.open[s.Background] = w
	if expect == nil || !r.likeEtcd && strings.Contains(s.Path, "timeout=") {
		return // a watch with a timeout has its headers when it ends
	}
	w.begun(r.t)
	r.await(what, expect, 150*time.Millisecond, false, w.look)
}

// collect judges the answer to a request in the background.
func (r *reported) collect(what string, s reportStep, expect *judgement) {
	w := r.open[s.Collect]
	w.resume()
	look := w.look
	if s.Idle {
		look = w.lookWhenIdle
	}
	within := 2 * time.Second
	if expect.Within > 0 {
		within = time.Duration(expect.Within * float64(time.Second))
	}
	r.await(what, expect, within, true, look)
}

// look returns as much of the answer as there is.
func (w *watched) look() (observed, bool) {
	if w.ended == nil {
		select {
		case o := <-w.answer:
			w.ended = &o
		default:
			return observed{outcome: outcome{reply: w.partial()}}, true
		}
	}
	return observed{outcome: *w.ended, ended: true}, true
}

// lookWhenIdle is look, once nothing has come for a second.
func (w *watched) lookWhenIdle() (observed, bool) {
	w.mu.Lock()
	idle := time.Since(w.newest)
	w.mu.Unlock()
	if w.ended == nil && len(w.answer) == 0 && idle < time.Second {
		return observed{}, false
	}
	return w.look()
}

// raw sends bytes and judges everything that comes.
func (r *reported) raw(what string, s reportStep, expect *judgement) {
	c := r.nodes[s.Node].dial()
	if _, err := io.WriteString(c, r.substitute(s.Raw)); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	if s.HalfClose {
		if err := c.tcp.CloseWrite(); err != nil {
			r.t.Fatalf("%s: %v", what, err)
		}
	}
	var all []byte
	r.await(what, expect, time.Second, false, func() (observed, bool) {
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		came, err := io.ReadAll(c)
		all = append(all, came...)
		o := observed{outcome: outcome{reply: reply{body: string(all)}}, ended: !errors.Is(err, os.ErrDeadlineExceeded)}
		if m := statusLine.FindSubmatch(all); m != nil {
			o.status, _ = strconv.Atoi(string(m[1]))
		}
		return o, true
	})
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] (\d{3}) `)

// fill returns what puts saved values, and the counter of a repeated request, into a request.
func (r *reported) fill(repeat, i int) func(name, value string) string {
	return func(_, value string) string {
		value = r.substitute(value)
		if repeat > 0 {
			value = strings.ReplaceAll(value, "{i}", strconv.Itoa(i))
		}
		return value
	}
}

// savedValue is ${name}, ${name+1} or ${name:020}, which has zeros to that width.
var savedValue = regexp.MustCompile(`\$\{(\w+)(?:\+(\d+))?(?::0(\d+))?\}`)

// substitute replaces the names of saved values.
func (r *reported) substitute(text string) string {
	return savedValue.ReplaceAllStringFunc(text, func(ref string) string {
		m := savedValue.FindStringSubmatch(ref)
		value, ok := r.saved[m[1]]
		if !ok {
			r.t.Fatalf("nothing is saved as %q", m[1])
		}
		if m[2] == "" && m[3] == "" {
			return value
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			r.t.Fatalf("%s: %v", ref, err)
		}
		more, _ := strconv.ParseUint(m[2], 10, 64) // digits, or nothing
		width, _ := strconv.Atoi(m[3])
		return fmt.Sprintf("%0*d", width, n+more)
	})
}
