package httpfront_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

const inFlight = `{"errorCode":503,"message":"Service Unavailable","cause":"too many requests are in flight (-max-requests-in-flight); nothing was done"}`

// checkRefused fails the test unless an answer says that there is no room, and to retry.
func checkRefused(t *testing.T, r fronttest.Reply, body string) {
	t.Helper()
	fronttest.Check(t, r, http.StatusServiceUnavailable, body)
	if after := r.Header.Get("Retry-After"); after != "1" || r.Close {
		t.Errorf("Retry-After: %q, closed %v; want 1, false", after, r.Close)
	}
}

func TestRequestsInFlight(t *testing.T) { inAllModes(t, testRequestsInFlight) }

func testRequestsInFlight(t *testing.T, serve server) {
	const limit, share = 4, 16
	s := serve(t, func(c *httpfront.Config) { c.MaxInFlight = limit })
	s.Dial().Set("/a", "value=1")
	watcher, refused := s.Dial(), s.Dial()
	watcher.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
	s.WaitForWatchers(1)
	letGo := fronttest.Block(t, s.Machine)
	var waiting []*fronttest.Client
	send := func(n int, method, target string) {
		for range n {
			c := s.Dial()
			c.Send("%s", fronttest.RawRequest(method, target, map[bool]string{true: "value=2"}[method == "POST"]))
			waiting = append(waiting, c)
		}
		s.Eventually("they are in flight", func() bool { return s.InFlight() == int64(len(waiting)) })
	}
	send(limit, "POST", "/v1/keys/a")
	checkRefused(t, refused.Do("POST", "/v1/keys/a", "value=3"), inFlight)
	for _, target := range []string{"/v1/keys/a", "/v1/watch/b", "/machines", "/v1/stats/self"} {
		checkRefused(t, refused.Get(target), inFlight)
	}
	send(share, "DELETE", "/v1/keys/none")
	checkRefused(t, refused.Do("DELETE", "/v1/keys/none", ""), inFlight)
	send(share, "GET", "/v1/keys/none?quorum=false")
	checkRefused(t, refused.Get("/v1/keys/none?quorum=false"), inFlight)
	fronttest.Check(t, s.Dial().Get("/livez"), 200, "ok")
	fronttest.Check(t, s.Dial().Get("/"), 200, "etcd v9")
	letGo()
	fronttest.Check(t, watcher.Reply("GET"), 200, `{"action":"SET","key":"/a","prevValue":"1","value":"2","index":4}`)
	for i, c := range waiting {
		if r := c.Reply("GET"); i < limit && r.Status != 200 || i >= limit && r.Status != 404 {
			t.Errorf("request %d: %d %s", i, r.Status, r.Body)
		}
	}
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d requests are in flight after their answers", n)
	}
	refused.Set("/a", "value=3")
}

// What has got no answer in time no longer counts.
func TestRequestsNoLongerInFlight(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.MaxInFlight, c.RequestTimeout = 1, 100*time.Millisecond })
	letGo := fronttest.Block(t, s.Machine)
	for _, target := range []string{"/v1/keys/a", "/v1/stats/store", "/v1/keys/a"} {
		if r := s.Dial().Get(target); r.Status != 500 {
			t.Errorf("%s: %d %s", target, r.Status, r.Body)
		}
	}
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d requests are in flight after their answers", n)
	}
	letGo()
	s.Dial().Set("/a", "value=1")
}

// Requests that wait for the machine count; what is served without one does not.
func TestRequestsInFlightBeforeThereIsAMachine(t *testing.T) {
	clock := fronttest.NewClock()
	machine := fronttest.StartMachine(t, clock.Reading)
	cfg := fronttest.Config()
	cfg.MaxInFlight, cfg.Log = 1, slog.New(slog.DiscardHandler)
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), cfg, clientRoutes(clock))
	first, second := s.Dial(), s.Dial()
	first.Send("%s", fronttest.RawRequest("GET", "/machines", ""))
	s.Eventually("it waits", func() bool { return s.InFlight() == 1 })
	checkRefused(t, second.Get("/machines"), inFlight)
	fronttest.Check(t, second.Get("/"), 200, "etcd v9")
	fronttest.Check(t, second.Get("/health"), 503, `{"health":"false","reason":"RAFT NO LEADER"}`)
	s.Attach(machine)
	fronttest.Check(t, first.Reply("GET"), 200, "127.0.0.1:4001")
	fronttest.Check(t, second.Get("/machines"), 200, "127.0.0.1:4001")
}

func TestWatchers(t *testing.T) { inAllModes(t, testWatchers) }

func testWatchers(t *testing.T, serve server) {
	s := serve(t, func(c *httpfront.Config) { c.MaxWatchers = 3 })
	const tooMany = `{"errorCode":503,"message":"Service Unavailable","cause":"too many watches (-max-watchers)"}`
	one, two, more := s.Dial(), s.Dial(), s.Dial()
	one.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
	two.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a?stream=true&key=/a&key=/b", ""))
	s.WaitForWatchers(3)
	checkRefused(t, more.Get("/v1/watch/c"), tooMany)
	checkRefused(t, more.Get("/v1/watch/c?stream=true"), tooMany)
	more.Set("/a", "value=1") // which ends the first
	one.Reply("GET")
	s.WaitForWatchers(2)
	checkRefused(t, more.Get("/v1/watch/c?stream=true&key=/c&key=/d"), tooMany)
	one.Send("%s", fronttest.RawRequest("GET", "/v1/watch/c", ""))
	s.WaitForWatchers(3)
	_, _ = one.Close(), two.Close()
	s.Eventually("those of clients that have left are given back", func() bool { return s.Watchers() == 0 })
	more.Send("%s", fronttest.RawRequest("GET", "/v1/watch/c?stream=true&key=/c&key=/d&key=/e", ""))
	s.WaitForWatchers(3)
}
