package e2e

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// background is a request that has been sent and whose answer arrives later.
type background struct {
	conn   *conn
	head   chan struct{} // closed when status and headers have arrived, or nothing will
	resume chan struct{} // if not nil: the body is not read before it is closed
	answer chan outcome  // receives once

	mu     sync.Mutex
	start  reply     // without the body
	body   []byte    // as much as has arrived
	newest time.Time // when the newest of all this arrived
}

type outcome struct {
	reply
	err error
}

// background sends a request on a connection of its own and returns without
// waiting for the answer.
func (s *server) background(r request) *background {
	s.t.Helper()
	return s.leaveOpen(r, nil)
}

// leaveOpen is background with a body that is not read before resume is closed, if it is not nil.
func (s *server) leaveOpen(r request, resume chan struct{}) *background {
	s.t.Helper()
	b := &background{conn: s.dial(), head: make(chan struct{}), resume: resume, answer: make(chan outcome, 1)}
	if err := b.conn.send(r); err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	go b.read(r.method)
	return b
}

// read takes the answer as it arrives.
func (b *background) read(method string) {
	resp, err := http.ReadResponse(b.conn.in, &http.Request{Method: method})
	if err != nil {
		close(b.head)
		b.answer <- outcome{err: err}
		return
	}
	defer resp.Body.Close()
	b.mu.Lock()
	b.start, b.newest = reply{status: resp.StatusCode, header: resp.Header, closes: resp.Close}, time.Now()
	b.mu.Unlock()
	close(b.head)
	if b.resume != nil {
		<-b.resume
	}
	piece := make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = resp.Body.Read(piece)
		b.mu.Lock()
		b.body, b.newest = append(b.body, piece[:n]...), time.Now()
		b.mu.Unlock()
	}
	if err == io.EOF {
		err = nil
	}
	b.answer <- outcome{b.partial(), err}
}

// partial returns as much of the answer as has arrived.
func (b *background) partial() reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.start
	r.body = string(b.body)
	return r
}

// begun returns status and headers, which must arrive within the usual limit, whether or not the
// answer goes on.
func (b *background) begun(t testing.TB) reply {
	t.Helper()
	select {
	case <-b.head:
		return b.partial()
	case <-time.After(waitLimit):
		t.Fatalf("no headers for a request in the background after %s", waitLimit)
		return reply{}
	}
}

// wait returns the answer, which must come within the usual limit.
func (b *background) wait(t testing.TB) reply {
	t.Helper()
	select {
	case o := <-b.answer:
		if o.err != nil {
			t.Fatalf("no answer to a request in the background: %v", o.err)
		}
		return o.reply
	case <-time.After(waitLimit):
		t.Fatalf("no answer to a request in the background after %s", waitLimit)
		return reply{}
	}
}

// stillOpen reports whether no answer comes within a short while. It can miss
// a late one, so callers also check the number of watchers.
func (b *background) stillOpen() bool {
	select {
	case o := <-b.answer:
		b.answer <- o
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}
