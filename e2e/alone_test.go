package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"etcd/internal/freeport"
)

const (
	healthy  = `{"health":"true"}`
	noLeader = `{"health":"false","reason":"RAFT NO LEADER"}`
)

// launched starts a machine that may not become ready and waits until its port answers.
func (s *server) launched() {
	s.t.Helper()
	s.launch()
	waitUntil(s.t, "it says which version it is", func() bool {
		answer, err := exchange(s.client, get("/"))
		return err == nil && answer.status == 200 && strings.HasPrefix(answer.body, "etcd ")
	})
}

// wantNoLeader checks that requests are answered, with 301.
func (s *server) wantNoLeader(requests ...request) {
	s.t.Helper()
	waiting := make([]*background, len(requests))
	for i, r := range requests {
		waiting[i] = s.background(r)
	}
	for i, r := range requests {
		answer := waiting[i].wait(s.t)
		if answer.status != 500 || !strings.HasPrefix(answer.body, `{"errorCode":301,"message":"During Leader Election"`) {
			s.t.Errorf("%s %s: %d %s, want a 301", r.method, r.target, answer.status, answer.body)
		}
	}
}

// waitHealth waits for a health status of a machine.
func (s *server) waitHealth(status int, body string) {
	s.t.Helper()
	waitUntil(s.t, "its health is "+body, func() bool {
		answer := s.do(get("/health"))
		return answer.status == status && answer.body == body
	})
}

// TestRestartWithoutAMajority: a machine that restarts without a majority answers every
// request: local ones at once, the rest with 301. Entries that it had applied before are
// not sent to watchers again when the majority is back.
func TestRestartWithoutAMajority(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, append([]string{"-snapshot-count", "50"}, fastElections...)...)
	s := c.leader()
	var index uint64
	for i := range 80 { // a snapshot, and entries behind it
		index = s.event(post("/v1/keys/k", "value", fmt.Sprint(i))).Index
	}
	for range 3 { // the commit index on disk may lag a little
		s.event(post("/v1/keys/later", "value", "x"))
	}
	c.kill(c.members...)

	s.launched()
	s.want(get("/health"), 503, noLeader)
	s.want(get("/livez"), 200, "ok")
	waitUntil(t, "the data directory is read", func() bool { return s.do(get("/machines")).status == 200 })
	if answer := s.do(get("/machines")); !strings.HasPrefix(answer.body, s.client) || strings.Count(answer.body, ",") != 2 {
		t.Errorf("/machines: %d %s", answer.status, answer.body)
	}
	if list, err := s.list(); err != nil || len(list) != 3 {
		t.Errorf("/v2/members: %v, %v", list, err)
	}
	for _, path := range []string{"/stats", "/v1/stats/store", "/v1/stats/self"} {
		if answer := s.do(get(path)); answer.status != 200 {
			t.Errorf("%s: %d %s", path, answer.status, answer.body)
		}
	}
	if e := s.event(get("/v1/keys/k?quorum=false")); e.Value != "79" {
		t.Errorf("the local read answers %+v, want the value 79", e)
	}
	if e := s.event(post("/v1/watch/k", "index", fmt.Sprint(index))); e.Index != index || e.Value != "79" {
		t.Errorf("the history answers %+v, want the event of index %d", e, index)
	}
	next := s.background(post("/v1/watch/k", "index", fmt.Sprint(index+1)))
	s.wantNoLeader(get("/leader"), get("/v1/keys/k"), post("/v1/keys/k", "value", "new"), del("/v1/keys/k"), get("/v1/watch/k"),
		get("/v1/watch/k?quorum=false")) // it is not known yet which events are new

	c.start(c.others(s)...)
	s.proc.waitServing()
	s.waitHealth(200, healthy)
	local := s.background(get("/v1/watch/k?quorum=false"))
	s.waitWatchers(2)
	want := s.event(post("/v1/keys/k", "value", "new"))
	for _, w := range []*background{next, local} {
		if e, err := w.wait(t).event(); err != nil || e.Index != want.Index || e.Value != "new" {
			t.Errorf("a watch answers %+v, %v; want %+v", e, err, want)
		}
	}

	c.kill(c.others(s)...)
	s.waitHealth(503, noLeader)
	if e := s.event(get("/v1/keys/k?quorum=false")); e.Value != "new" {
		t.Errorf("without the others the local read answers %+v", e)
	}
}

// TestWhileJoining: a machine that waits for its join answers on both ports, and stops
// cleanly.
func TestWhileJoining(t *testing.T) {
	t.Parallel()
	s := newServer(t, "-C", freeport.Address(t), "-r", "1000", "-request-timeout", "1s")
	s.launched()
	s.want(get("/health"), 503, noLeader)
	s.wantNoLeader(get("/v1/keys/k?quorum=false"), get("/machines"))
	if answer, err := exchange(s.peer, get("/version")); err != nil || answer.status != 200 {
		t.Errorf("/version of the peer port: %+v, %v", answer, err)
	}
	waiting := s.background(get("/leader"))
	s.proc.signal(syscall.SIGTERM)
	if answer := waiting.wait(t); answer.status != 500 {
		t.Errorf("who waits at the stop is told %d %s", answer.status, answer.body)
	}
	if code := s.proc.waitExit(stopLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
