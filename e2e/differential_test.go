package e2e

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var differentialRequests = flag.Int("differential", enoughRequests, "how many requests TestDifferentialV2 compares, at least")

// enoughRequests is after how many requests every difference has been seen.
const enoughRequests = 20_000

// TestDifferentialV2 sends the same requests for keys to etcd 3.4 and to ours, and compares the
// answers. They differ in what docs/api-v2.md says and in nothing else.
func TestDifferentialV2(t *testing.T) {
	t.Parallel()
	d := &differential{
		pairs:     &indexPairs{ours: make(map[uint64]uint64)},
		reference: &line{address: startReference(t)},
		used:      make(map[*difference]int),
	}
	if os.Getenv("DIFF_SELF") != "" {
		d.ours = &line{address: startReference(t)}
		differences = differences[1:2]
		d.pairs.ours[0] = 0
	} else {
		s := newServer(t)
		s.data = inMemory(t)
		s.start()
		d.ours = &line{address: s.client}
	}
	d.referenceWatch, d.oursWatch = &line{address: d.reference.address}, &line{address: d.ours.address}
	defer d.hangUp()
	start := time.Now()
	for d.sent < *differentialRequests {
		rapid.Check(t, d.run)
	}
	t.Logf("%d requests in %v", d.sent, time.Since(start))
	t.Log("F3 ", d.f3)
	for _, k := range slices.Sorted(maps.Keys(stats)) {
		t.Log("STAT ", k, " ", stats[k])
	}
	for _, difference := range differences {
		t.Logf("%s: %d", difference, d.used[difference])
		if d.used[difference] == 0 && *differentialRequests >= enoughRequests {
			t.Errorf("%d requests have not shown %s", d.sent, difference)
		}
	}
}

// startReference starts Debian's etcd and returns its client address.
func startReference(t *testing.T) string {
	t.Helper()
	const needs = "needs Debian's package etcd-server: "
	program, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip(needs, err)
	}
	address, client, peer := freeAddress(t), "", "http://"+freeAddress(t)
	client = "http://" + address
	launch(t, exec.Command(program, "--enable-v2", "--data-dir", inMemory(t), "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer))
	waitUntil(t, "the reference serves", func() bool {
		answer, err := exchange(address, get("/health"))
		return err == nil && answer.status == http.StatusOK
	})
	return address
}

// inMemory returns a data directory that no disk makes slow, if there is such a file system.
func inMemory(t *testing.T) string {
	t.Helper()
	const tmpfs = "/dev/shm"
	dir, err := os.MkdirTemp(tmpfs, "etcd-e2e-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var stats = map[string]int{}

// differential compares two servers.
type differential struct {
	reference, ours           *line
	referenceWatch, oursWatch *line
	pairs                     *indexPairs
	used                      map[*difference]int
	sent                      int // to ours
	sequences                 int
	f3                        int
	left                      []string // what earlier sequences have left, in terms of the reference
}

// sequence is a run of requests in a directory of its own, and sometimes in the root.
type sequence struct {
	*differential
	t        *rapid.T
	base     string
	from     int          // known indexes before it
	begun    time.Time    // before its first request
	written  []writtenKey // in order
	diverged bool         // the two have not done the same
}

// hangUp closes all connections.
func (d *differential) hangUp() {
	for _, l := range []*line{d.reference, d.ours, d.referenceWatch, d.oursWatch} {
		l.close()
	}
}

func (d *differential) run(t *rapid.T) {
	ended := false
	defer func() {
		if !ended { // and answers may be on their way
			d.hangUp()
		}
	}()
	s := &sequence{differential: d, t: t, diverged: true}
	step := func(act func()) func(*rapid.T) {
		return func(*rapid.T) {
			if s.diverged {
				s.renew()
			}
			act()
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"read":  step(func() { s.do(s.drawRead(t)) }),
		"write": step(func() { s.do(s.drawWrite(t)) }),
		"more":  step(func() { s.do(s.drawWrite(t)) }),
		"watch": step(func() { s.do(s.drawWatch(t)) }),
		"take":  step(func() { s.takeName() }),
	})
	ended = true
}

// renew begins anew, in a directory of its own.
func (s *sequence) renew() {
	for _, key := range s.left {
		q := v2Request{method: "DELETE", path: escaped(key), query: []param{{"recursive", "true"}}}
		s.both(q, q.forOurs(s.pairs))
	}
	s.sequences++
	s.base = fmt.Sprintf("/s%06d", s.sequences)
	q := v2Request{method: "PUT", path: s.base, query: []param{{"dir", "true"}}}
	reference, ours := s.both(q, q)
	if reference.status != http.StatusCreated || ours.status != http.StatusCreated {
		s.t.Logf("%v\n\treference %v\n\tours      %v", q, reference, ours)
		s.t.Fatal("a new directory is refused")
	}
	s.left, s.written, s.diverged, s.begun = []string{s.base}, nil, false, time.Now()
	s.from = len(s.pairs.known)
	s.pairs.add(reference.index(), ours.index())
}

// writtenKey is what a request has written.
type writtenKey struct {
	key, value string
	index      uint64
}

// note remembers what was written.
func (s *sequence) note(reference v2Answer) {
	node, _ := reference.get("node").(object)
	if reference.get("action") == "get" || reference.get("action") == "delete" || node == nil {
		return
	}
	value, _ := node.get("value").(string)
	s.written = append(s.written, writtenKey{eventKey(reference), value, reference.index()})
}

// lastWritten returns what was last written to a key, in as far as anything was.
func (s *sequence) lastWritten(key string) writtenKey {
	for _, w := range slices.Backward(s.written) {
		if w.key == key {
			return w
		}
	}
	return writtenKey{}
}

// known returns the indexes of the sequence.
func (s *sequence) known() []uint64 { return s.pairs.known[s.from:] }

// both sends a request to each server.
func (s *sequence) both(toReference, toOurs v2Request) (reference, ours v2Answer) {
	s.send(s.reference, toReference)
	s.send(s.ours, toOurs)
	return s.receive(s.reference, toReference), s.receive(s.ours, toOurs)
}

func (s *sequence) send(l *line, q v2Request) {
	if err := l.send(q.request()); err != nil {
		s.noAnswer(l, q, err)
	}
}

func (s *sequence) receive(l *line, q v2Request) v2Answer {
	answer, err := l.receive(q.method)
	if err != nil {
		s.noAnswer(l, q, err)
	}
	return s.parse(q, answer)
}

// noAnswer ends the sequence.
func (s *sequence) noAnswer(l *line, q v2Request, err error) {
	s.t.Logf("%v: %v", q, err)
	if l == s.ours || l == s.oursWatch {
		s.t.Fatal("no answer from ours")
	}
	s.t.Fatal("no answer from the reference")
}

func (s *sequence) parse(q v2Request, r reply) v2Answer {
	answer, err := parseV2(r)
	if err != nil {
		s.t.Logf("%v: %v in %q", q, err, r.body)
		s.t.Fatal("an answer is no JSON")
	}
	return answer
}

// do sends a request and compares the answers. It returns that of the reference.
func (s *sequence) do(q v2Request) v2Answer {
	s.sent++
	toReference := s.ask(q)
	if q.method == "GET" && q.is("wait") {
		return s.watch(q, toReference)
	}
	if q.method == "HEAD" && !q.is("wait") {
		return s.headAndGet(q, toReference)
	}
	reference, ours := s.both(toReference, q.forOurs(s.pairs))
	s.compare(q, toReference, reference, ours)
	if q.method == "POST" && reference.status == http.StatusCreated {
		key := path.Join(toReference.key(), inOrder(reference.index()))
		s.left = append(s.left, key)
	}
	s.note(reference)
	if ttl, _ := q.get("ttl"); ttl == "0" && q.writes() {
		s.diverged = true // they need not expire it at the same time
	}
	return reference
}

// ask returns what the reference is asked for q.
func (s *sequence) ask(q v2Request) v2Request {
	for _, d := range differences {
		if d.ask == nil {
			continue
		}
		other, applies := d.ask(q)
		if !applies {
			continue
		}
		s.used[d]++
		if d.ignores != nil {
			s.send(s.reference, q)
			if answer := s.receive(s.reference, q); !d.ignores(answer) {
				s.t.Logf("%v\n\treference %v", q, answer)
				s.t.Fatalf("the reference does not show %v", d)
			}
		}
		q = other
	}
	return q
}

func (s *sequence) compare(q, toReference v2Request, reference, ours v2Answer) {
	s.t.Logf("%v\n\treference %v\n\tours      %v", q, reference, ours)
	stats[fmt.Sprint(q.method, " ", reference.status, " ", reference.code(), " ", reference.get("action"))]++
	want, newest := reference, s.pairs.newest()
	if os.Getenv("DIFF_SELF") != "" {
		ours, _ = differences[0].expect(q, ours, ours, 0)
	}
	for _, d := range differences {
		if d.expect == nil {
			continue
		}
		var applies bool
		if want, applies = d.expect(toReference, want, ours, newest); applies {
			s.used[d]++
			s.diverged = s.diverged || d.diverges && q.writes()
		}
	}
	if diff := (comparer{s.pairs, s.begun}).compare(want, ours); diff != "" {
		// Rapid simplifies only what fails in the same words.
		s.t.Log(diff)
		s.t.Fatalf("ours has answered %d to a %s, and not as was expected: %d", ours.status, q.method, want.status)
	}
}

// headAndGet checks that HEAD answers as GET does, without the body.
func (s *sequence) headAndGet(q, toReference v2Request) v2Answer {
	referenceHead, oursHead := s.both(toReference, q.forOurs(s.pairs))
	q.method, toReference.method = "GET", "GET"
	reference, ours := s.both(toReference, q.forOurs(s.pairs))
	s.compare(q, toReference, reference, ours)
	for _, pair := range [][2]v2Answer{{referenceHead, reference}, {oursHead, ours}} {
		head, get := pair[0], pair[1]
		head.header, get.header = withoutVarying(head.header), withoutVarying(get.header)
		if head.status != get.status || head.text != "" || fmt.Sprint(head.header) != fmt.Sprint(get.header) {
			s.t.Logf("GET  %v %v\nHEAD %v %v", get, get.header, head, head.header)
			s.t.Fatal("HEAD is not as GET")
		}
	}
	return reference
}

func withoutVarying(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Date", "X-Raft-Index"} {
		h.Del(name)
	}
	return h
}

// takeName puts a file where a POST is going to put one.
func (s *sequence) takeName() {
	if !oneIn(s.t, 20, "really") {
		return
	}
	dir := s.base + pick(s.t, "directory", "", "/a", "/b")
	put := func(key string) (done bool) {
		answer := s.do(v2Request{method: "PUT", path: key, query: []param{{"value", "taken"}}})
		return answer.code() == ""
	}
	// The index of a request that fails is missing in ours: the one before has to be the last.
	if put(s.base+"/before") && put(dir+"/"+inOrder(s.pairs.newest()+2)) {
		s.do(v2Request{method: "POST", path: dir, query: []param{{"value", "x"}}})
	}
}

// watch compares two watches. If history does not answer them, the key changes.
func (s *sequence) watch(q, toReference v2Request) v2Answer {
	since := q.since()
	switch {
	case q.is("stream"), since > s.pairs.newest()+1, q.key() == "/" && !q.is("recursive"):
		return v2Answer{} // it would wait for ever
	case q.key() == "/" && since > 0 && since < s.known()[0]:
		return v2Answer{} // it would find what was before the sequence
	}
	s.send(s.referenceWatch, toReference)
	s.send(s.oursWatch, q.forOurs(s.pairs))
	reference, ours := s.head(s.referenceWatch, q), s.head(s.oursWatch, q)
	if reference.StatusCode != http.StatusOK && ours.StatusCode == http.StatusOK {
		refusal := s.finish(s.referenceWatch, q, reference)
		if !longHistory.applies(refusal) {
			s.oursWatch.close()
			s.compare(q, toReference, refusal, v2Answer{status: ours.StatusCode, header: ours.Header, text: "(waits)"})
			return refusal
		}
		s.used[longHistory]++
		toReference = toReference.from(s.known()[0])
		s.send(s.referenceWatch, toReference)
		reference = s.head(s.referenceWatch, q)
	}
	switch waits, oursWaits := reference.StatusCode == http.StatusOK, ours.StatusCode == http.StatusOK; {
	case waits && oursWaits:
		for range rapid.SampledFrom([]int{0, 1, 2}).Draw(s.t, "meanwhile") {
			s.do(s.drawMeanwhile(s.t, q.key()))
			if s.diverged {
				s.referenceWatch.close()
				s.oursWatch.close()
				return v2Answer{}
			}
		}
		s.touch(q.key())
	case waits:
		s.referenceWatch.close()
		answer := v2Answer{status: reference.StatusCode, header: reference.Header, text: "(waits)"}
		s.compare(q, toReference, answer, s.finish(s.oursWatch, q, ours))
		return answer
	}
	fromReference, fromOurs := s.finish(s.referenceWatch, q, reference), s.finish(s.oursWatch, q, ours)
	if removesAbove(q.key(), fromOurs) && !removesAbove(q.key(), fromReference) {
		since := toReference.since()
		if since == 0 {
			since = fromReference.index() + 1
		}
		fromReference.body = s.since(toReference, since).body
		s.f3++
	}
	for {
		i := slices.IndexFunc(differences, func(d *difference) bool { return d.skips != nil && d.skips(toReference, fromReference) })
		if i < 0 {
			break
		}
		s.used[differences[i]]++
		fromReference.body = s.after(toReference, fromReference).body
	}
	s.compare(q, toReference, fromReference, fromOurs)
	return fromReference
}

// after returns the next event that the reference finds in its history.
func (s *sequence) after(q v2Request, event v2Answer) v2Answer {
	node, _ := event.get("node").(object)
	var index uint64
	fmt.Sscan(fmt.Sprint(node.get("modifiedIndex")), &index)
	return s.since(q, index+1)
}

func removesAbove(key string, event v2Answer) bool {
	node, _ := event.get("node").(object)
	return event.get("action") == "delete" && node.get("dir") == true && within(key, eventKey(event))
}

func (s *sequence) since(q v2Request, index uint64) v2Answer {
	q = q.from(index)
	s.send(s.reference, q)
	return s.receive(s.reference, q)
}

// touch changes a key.
func (s *sequence) touch(key string) {
	if key == "/" {
		key = s.base + "/touched"
	}
	for {
		answer := s.do(v2Request{method: "PUT", path: escaped(key), query: []param{{"value", "touched"}}})
		switch cause, _ := answer.get("cause").(string); answer.code() {
		case "102":
			s.do(v2Request{method: "DELETE", path: escaped(key), query: []param{{"recursive", "true"}}})
			return
		case "104":
			s.do(v2Request{method: "DELETE", path: escaped(cause)})
		case "":
			return
		default:
			s.t.Fatal("the watched key cannot be changed")
		}
	}
}

func (s *sequence) head(l *line, q v2Request) *http.Response {
	resp, err := l.head(q.method)
	if err != nil {
		s.noAnswer(l, q, err)
	}
	return resp
}

func (s *sequence) finish(l *line, q v2Request, resp *http.Response) v2Answer {
	answer, err := l.finish(resp)
	if err != nil {
		s.noAnswer(l, q, err)
	}
	return s.parse(q, answer)
}

// line is a connection that is opened as needed.
type line struct {
	address string
	conn    *conn
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

func (l *line) send(r request) error {
	if l.conn == nil {
		var err error
		if l.conn, err = dial(l.address); err != nil {
			return err
		}
	}
	l.conn.SetDeadline(time.Now().Add(waitLimit))
	return l.conn.send(r)
}

func (l *line) receive(method string) (reply, error) {
	resp, err := l.head(method)
	if err != nil {
		return reply{}, err
	}
	return l.finish(resp)
}

// head reads an answer up to its body.
func (l *line) head(method string) (*http.Response, error) {
	resp, err := http.ReadResponse(l.conn.in, &http.Request{Method: method})
	if err != nil {
		l.close()
	}
	return resp, err
}

// finish reads the body of an answer.
func (l *line) finish(resp *http.Response) (reply, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Close {
		l.close()
	}
	return reply{resp.StatusCode, resp.Header, string(body), resp.Close}, err
}
