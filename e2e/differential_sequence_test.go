package e2e

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// sequence is a run of requests in a directory of its own, and sometimes in the root.
type sequence struct {
	*differential
	t        *rapid.T
	base     string       // the directory
	begun    time.Time    // before its first request
	first    uint64       // index of the reference when it began
	written  []writtenKey // in order
	diverged bool         // the two have not done the same, and another directory is needed
}

// writtenKey is what a request has written, or removed.
type writtenKey struct {
	key, value string
	index      uint64
}

// renew begins anew, in a directory of its own.
func (s *sequence) renew() {
	for _, key := range s.left {
		q := v2Request{method: "DELETE", path: escaped(key), query: []param{{"recursive", "true"}}}
		s.both(q, s.comparison().request(q))
	}
	s.directories++
	s.base = fmt.Sprintf("/s%06d", s.directories)
	q := v2Request{method: "PUT", path: s.base, query: []param{{"dir", "true"}}}
	reference, ours := s.both(q, q)
	if reference.status != http.StatusCreated || ours.status != http.StatusCreated {
		s.t.Logf("%v\n\treference %v\n\tours      %v", q, reference, ours)
		s.t.Fatal("a new directory is refused")
	}
	s.left, s.written, s.diverged, s.begun = []string{s.base}, nil, false, time.Now()
	s.first, s.newest = reference.index(), reference.index()
	at, _ := s.indexes.find(s.first) // those that come may have been foreseen
	s.indexes.pairs = s.indexes.pairs[:at]
	s.indexes.learn(s.first, ours.index())
}

// note remembers what was written.
func (s *sequence) note(reference v2Answer) {
	node := reference.node()
	if node == nil || reference.get("action") == "get" {
		return
	}
	s.leaves(eventKey(reference))
	value, _ := node.get("value").(string)
	s.written = append(s.written, writtenKey{eventKey(reference), value, reference.index()})
}

// leaves remembers what is to be removed because of a key.
func (s *sequence) leaves(key string) {
	top, _, _ := strings.Cut(key[1:], "/")
	if top = "/" + top; !slices.Contains(s.left, top) {
		s.left = append(s.left, top)
	}
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

// known returns the indexes of the sequence, with ours.
func (s *sequence) known() [][2]uint64 {
	at, _ := s.indexes.find(s.first)
	return s.indexes.pairs[at:]
}

func (s *sequence) comparison() v2Comparison { return v2Comparison{&s.indexes, s.begun} }

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

// do sends a request and compares the answers.
func (s *sequence) do(q v2Request) {
	toReference := s.ask(q)
	switch {
	case q.method == "GET" && toReference.is("wait"):
		s.watch(q, toReference)
	case q.method == "HEAD" && !toReference.is("wait"):
		s.headAndGet(q, toReference)
	default:
		s.exchange(q, toReference)
	}
}

// exchange sends a request that is answered at once and compares the answers. It returns that of the
// reference.
func (s *sequence) exchange(q, toReference v2Request) v2Answer {
	reference, ours := s.both(toReference, s.comparison().request(q))
	s.compare(q, toReference, reference, ours)
	if q.method == "POST" && reference.status == http.StatusCreated {
		s.leaves(path.Join(toReference.key(), inOrder(reference.index())))
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
		if d.instead != nil {
			s.send(s.reference, q)
			if answer := s.receive(s.reference, q); !d.instead(answer) {
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
	s.compared++
	want := reference
	for _, d := range differences {
		if d.expect == nil {
			continue
		}
		var applies bool
		if want, applies = d.expect(s, toReference, want, ours); applies {
			s.used[d]++
			s.diverged = s.diverged || d.diverges && q.writes()
		}
	}
	if diff := s.comparison().differ(want, ours); diff != "" {
		// Rapid simplifies only what fails in the same words.
		s.t.Log(diff)
		s.t.Fatalf("ours has answered %d to a %s, and not as was expected: %d", ours.status, q.method, want.status)
	}
	s.newest = max(s.newest, reference.index())
}

// headAndGet checks that HEAD answers as GET does, without the body.
func (s *sequence) headAndGet(q, toReference v2Request) {
	referenceHead, oursHead := s.both(toReference, s.comparison().request(q))
	q.method, toReference.method = "GET", "GET"
	reference, ours := s.both(toReference, s.comparison().request(q))
	s.compare(q, toReference, reference, ours)
	s.compared++
	for _, pair := range [][2]v2Answer{{referenceHead, reference}, {oursHead, ours}} {
		head, get := pair[0], pair[1]
		head.header, get.header = withoutVarying(head.header), withoutVarying(get.header)
		if head.status != get.status || head.text != "" || fmt.Sprint(head.header) != fmt.Sprint(get.header) {
			s.t.Logf("GET  %v %v\nHEAD %v %v", get, get.header, head, head.header)
			s.t.Fatal("HEAD is not as GET")
		}
	}
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
	before := v2Request{method: "PUT", path: s.base + "/before", query: []param{{"value", "x"}}}
	if answer := s.exchange(before, before); answer.code() != "" {
		return
	}
	dir, index := s.base+pick(s.t, "directory", "", "/a", "/b"), s.newest+2
	for i, q := range []v2Request{
		{method: "PUT", path: dir + "/" + inOrder(index), query: []param{{"value", "taken"}}},
		{method: "POST", path: dir, query: []param{{"value", "x"}}},
	} {
		foreseen := s.comparison().ours(index - 1 + uint64(i))
		reference, ours := s.both(q, s.comparison().request(q))
		if ours.index() != foreseen {
			s.diverged = true // it was refused, or our log has another entry
			return
		}
		s.compare(q, q, reference, ours)
	}
}
