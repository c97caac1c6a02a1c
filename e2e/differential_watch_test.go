package e2e

import (
	"io"
	"net/http"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// watch compares two watches. What history does not answer is answered when the key changes.
func (s *sequence) watch(q, toReference v2Request) {
	key, since := toReference.key(), toReference.since()
	switch {
	case toReference.is("stream"), since > s.newest+1, key == "/" && !toReference.is("recursive"):
		return // it would not end
	case key == "/" && since > 0 && since < s.first:
		return // it would find what was before the sequence
	}
	s.send(s.referenceWatch, toReference)
	s.send(s.oursWatch, s.comparison().request(q))
	reference, ours := s.head(s.referenceWatch, q), s.head(s.oursWatch, q)
	if ours.StatusCode == http.StatusOK && reference.StatusCode != http.StatusOK {
		refusal := s.finish(s.referenceWatch, q, reference)
		if !isCleared(refusal) {
			s.oursWatch.close()
			s.compare(q, toReference, refusal, waiting(ours))
			return
		}
		s.used[longHistory]++
		toReference = toReference.from(s.first) // nothing has happened there before
		s.send(s.referenceWatch, toReference)
		reference = s.head(s.referenceWatch, q)
	}
	if reference.StatusCode == http.StatusOK && ours.StatusCode != http.StatusOK {
		s.referenceWatch.close()
		s.compare(q, toReference, waiting(reference), s.finish(s.oursWatch, q, ours))
		return
	}
	if ours.StatusCode == http.StatusOK && !s.change(key) {
		s.referenceWatch.close()
		s.oursWatch.close()
		return
	}
	fromReference, fromOurs := s.finish(s.referenceWatch, q, reference), s.finish(s.oursWatch, q, ours)
	s.compare(q, toReference, s.nextEvent(toReference, fromReference, fromOurs), fromOurs)
}

// waiting returns the answer to a watch that has begun and was not answered.
func waiting(resp *http.Response) v2Answer {
	return v2Answer{status: resp.StatusCode, header: resp.Header, text: "(waits)"}
}

// nextEvent returns the event that ours has to answer to a watch.
func (s *sequence) nextEvent(q v2Request, reference, ours v2Answer) v2Answer {
	if removesAbove(s.comparison().names(q.key()), ours) && !removesAbove(q.key(), reference) {
		s.used[deepRemoval]++
		since := q.since()
		if since == 0 {
			since = reference.index() + 1
		}
		reference.body = s.fromHistory(q.from(since))
	}
	for {
		i := slices.IndexFunc(differences, func(d *difference) bool { return d.skips != nil && d.skips(q, reference) })
		if i < 0 {
			return reference
		}
		s.used[differences[i]]++
		reference.body = s.fromHistory(q.from(eventIndex(reference) + 1))
	}
}

// fromHistory returns the event that the reference finds in its history.
func (s *sequence) fromHistory(q v2Request) (event any) {
	s.send(s.reference, q)
	return s.receive(s.reference, q).body
}

// change changes a key that is watched, after other changes. It reports whether the two have gone
// the same way.
func (s *sequence) change(key string) bool {
	for range rapid.SampledFrom([]int{0, 1, 2}).Draw(s.t, "changes before") {
		q := s.drawMeanwhile(s.t, key)
		if s.exchange(q, s.ask(q)); s.diverged {
			return false
		}
	}
	if key == "/" {
		key = s.base + "/touched"
	}
	for {
		put := v2Request{method: "PUT", path: escaped(key), query: []param{{"value", "touched"}}}
		answer := s.exchange(put, put)
		remove := v2Request{method: "DELETE", path: put.path, query: []param{{"recursive", "true"}}}
		switch answer.code() {
		case "":
			return true
		case "102": // there is a directory
			s.exchange(remove, remove)
			return true
		case "104": // there is a file above
			remove.path = escaped(answer.cause())
			s.exchange(remove, remove)
		default:
			s.t.Fatal("a watched key cannot be changed")
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
