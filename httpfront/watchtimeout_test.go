package httpfront_test

import (
	"fmt"
	"strconv"
	"testing"

	"etcd/httpfront/fronttest"
)

// A watch whose time is over is told up to which index there was nothing.
func TestWatchTimeout(t *testing.T) { inAllModes(t, testWatchTimeout) }

func testWatchTimeout(t *testing.T, serve server) {
	s := serve(t)
	c := s.Dial()
	c.Set("/b", "value=1")
	for target, index := range map[string]string{
		"/v1/watch/a?timeout=0.01": "3", "/v1/watch/a?timeout=0.01&index=2": "3", "/v1/watch/a?timeout=.01&index=99": "98",
	} {
		r := c.Get(target)
		if r.Status != 204 || r.Body != "" || r.Header.Get("X-Etcd-Index") != index || r.Close {
			t.Errorf("%s: %d %q %v", target, r.Status, r.Body, r.Header)
		}
	}
	s.WaitForWatchers(0)
	want := c.Set("/a", "value=1")
	fronttest.Check(t, c.Get("/v1/watch/a?timeout=0.001&index=2"), 200, want)
	fronttest.Check(t, c.Do("POST", "/v1/watch/a", "index=4&timeout=86400"), 200, want)
}

// An event that comes when the time of a watch is over is its answer, or the next one's.
func TestWatchTimeoutAtTheEvent(t *testing.T) { inAllModes(t, testWatchTimeoutAtTheEvent) }

func testWatchTimeoutAtTheEvent(t *testing.T, serve server) {
	s := serve(t)
	c, writer := s.Dial(), s.Dial()
	events, timeouts := 0, 0
	next := 3
	for round := range 300 {
		writer.Send("%s", fronttest.RawRequest("POST", "/v1/keys/a", "value="+strconv.Itoa(round)))
		for {
			r := c.Get(fmt.Sprintf("/v1/watch/a?index=%d&timeout=0.001", next))
			if r.Status == 200 {
				events++
				fronttest.Check(t, r, 200, writer.Reply("POST").Body)
				next++
				break
			}
			timeouts++
			if got := r.Header.Get("X-Etcd-Index"); r.Status != 204 || got != strconv.Itoa(next-1) {
				t.Fatalf("%d %s, index %s, want %d", r.Status, r.Body, got, next-1)
			}
		}
	}
	if n := s.Machine.Watchers(); n != 0 {
		t.Errorf("%d watchers are left after %d events and %d timeouts", n, events, timeouts)
	}
}
