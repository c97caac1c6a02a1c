package httpfront_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// While the store actor is busy, every request gets an answer; the late answer of the store
// is not taken for that of the next request on the connection.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.RequestTimeout = 100 * time.Millisecond })
	p := servePeerPort(t, s, io.Discard, func(c *httpfront.Config) { c.RequestTimeout = 100 * time.Millisecond })
	s.Dial().Set("/a", "value=1")
	const busy = `{"errorCode":300,"message":"Raft Internal Error","cause":"this machine has not answered within the request timeout: it is busy reading, or receiving, its state"}`
	unknown := `{"errorCode":300,"message":"Raft Internal Error","cause":"the outcome is unknown: the change may still take effect"}`
	tests := []struct {
		server               *fronttest.Server
		method, target, form string
		status               int
		want                 string
	}{
		{s, "GET", "/v1/keys/a?quorum=false", "", 500, busy},
		{s, "GET", "/v1/keys/a", "", 500, busy},
		{s, "GET", "/v1/watch/a", "", 500, busy},
		{s, "POST", "/v1/keys/b", "value=2", 500, unknown},
		{s, "DELETE", "/v1/keys/b", "", 500, unknown},
		{s, "GET", "/leader", "", 500, busy},
		{s, "GET", "/machines", "", 500, busy},
		{s, "GET", "/v1/machines", "", 500, busy},
		{s, "GET", "/stats", "", 500, busy},
		{s, "GET", "/v1/stats/store", "", 500, busy},
		{s, "GET", "/v1/stats/self", "", 500, busy},
		{s, "GET", "/v1/stats/leader", "", 500, busy},
		{s, "GET", "/health", "", 503, `{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}`},
		{s, "GET", "/", "", 200, "etcd v9"},
		{p, "GET", "/hash", "", 500, busy},
		{p, "POST", "/join", `{"memberId":"5","name":"n5","peerUrl":"http://127.0.0.1:7005","clientUrl":"http://127.0.0.1:4005","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`, 500, busy},
	}
	letGo := fronttest.Block(t, s.Machine)
	clients := make([]*fronttest.Client, len(tests))
	for i, test := range tests {
		clients[i] = test.server.Dial()
		clients[i].Send("%s", fronttest.RawRequest(test.method, test.target, test.form))
	}
	for i, test := range tests {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			fronttest.Check(t, clients[i].Reply(test.method), test.status, test.want)
		})
	}
	letGo()
	s.Dial().Get("/v1/keys/a") // after everything that was queued
	for i, test := range tests {
		if r := clients[i].Get("/"); r.Body != "etcd v9" {
			t.Errorf("after %s %s: %s", test.method, test.target, r.Body)
		}
		if test.server == s {
			fronttest.Check(t, clients[i].Get("/v1/keys/a?quorum=false"), 200, `{"action":"GET","key":"/a","value":"1","index":5}`)
		}
	}
}

// A server without a machine says so in time, and serves as soon as it has one.
func TestBeforeThereIsAMachine(t *testing.T) {
	clock := fronttest.NewClock()
	machine := fronttest.StartMachine(t, clock.Reading)
	cfg := fronttest.Config()
	cfg.RequestTimeout = 100 * time.Millisecond
	cfg.Log = slog.New(slog.DiscardHandler)
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), cfg, clientRoutes(clock))
	c := s.Dial()
	fronttest.Check(t, c.Get("/"), 200, "etcd v9")
	fronttest.Check(t, c.Get("/health"), 503, `{"health":"false","reason":"RAFT NO LEADER"}`)
	for _, target := range []string{"/machines", "/v1/keys/a", "/v1/keys/a?quorum=false", "/v1/watch/a", "/stats"} {
		if r := c.Get(target); r.Status != http.StatusInternalServerError || !strings.Contains(r.Body, `"errorCode":301`) {
			t.Errorf("%s: %d %s", target, r.Status, r.Body)
		}
	}
	s.Attach(machine)
	fronttest.Check(t, c.Get("/machines"), 200, "127.0.0.1:4001")
	fronttest.Check(t, c.Get("/health"), 200, `{"health":"true"}`)
}
