package httpfront

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
)

// block keeps the store actor of a server's machine from its work until it is let go.
// Answers to who runs on a synchronized dispatcher, as sessions do, are taken on the
// goroutine of the store actor.
func (s *testServer) block() (letGo func()) {
	s.t.Helper()
	blocked, free := make(chan struct{}), make(chan struct{})
	pid := s.root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actors.ReadReply); ok {
			close(blocked)
			<-free
		}
	}, actor.WithDispatcher(actor.NewSynchronizedDispatcher(1))))
	s.root.Send(s.machine.Store, &actors.Read{ReplyTo: pid, Path: "/"})
	<-blocked
	letGo = sync.OnceFunc(func() {
		close(free)
		s.root.Stop(pid)
	})
	s.t.Cleanup(letGo)
	return letGo
}

// While the store actor is busy, every request gets an answer; that of the store, which
// comes later, is not taken for the one to the next request of the connection.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	s := serve(t, func(c *Config) { c.RequestTimeout = 100 * time.Millisecond })
	p := servePeers(t, s, io.Discard, func(c *Config) { c.RequestTimeout = 100 * time.Millisecond })
	s.dial().set("/a", "value=1")
	const busy = `{"errorCode":300,"message":"Raft Internal Error","cause":"this machine has not answered within the request timeout: it is busy reading, or receiving, its state"}`
	unknown := `{"errorCode":300,"message":"Raft Internal Error","cause":"the outcome is unknown: the change may still take effect"}`
	tests := []struct {
		server               *testServer
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
		{s, "GET", "/v2/members", "", 500, busy},
		{s, "GET", "/stats", "", 500, busy},
		{s, "GET", "/v1/stats/store", "", 500, busy},
		{s, "GET", "/v1/stats/self", "", 500, busy},
		{s, "GET", "/v1/stats/leader", "", 500, busy},
		{s, "GET", "/health", "", 503, `{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}`},
		{s, "GET", "/version", "", 200, "etcd v9"},
		{p, "GET", "/hash", "", 500, busy},
		{p, "POST", joinPath, `{"memberId":"5","name":"n5","peerUrl":"http://127.0.0.1:7005","clientUrl":"http://127.0.0.1:4005"}`, 500, busy},
	}
	letGo := s.block()
	clients := make([]*client, len(tests))
	for i, test := range tests {
		clients[i] = test.server.dial()
		clients[i].send("%s", rawRequest(test.method, test.target, test.form))
	}
	for i, test := range tests {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			check(t, clients[i].reply(test.method), test.status, test.want)
		})
	}
	letGo()
	s.dial().get("/v1/keys/a") // behind everything that waited
	for i, test := range tests {
		if r := clients[i].get("/version"); r.body != "etcd v9" {
			t.Errorf("after %s %s: %s", test.method, test.target, r.body)
		}
		if test.server == s {
			check(t, clients[i].get("/v1/keys/a?quorum=false"), 200, `{"action":"GET","key":"/a","value":"1","index":5}`)
		}
	}
}

// A server without a machine says so in time, and serves as soon as it has one.
func TestBeforeThereIsAMachine(t *testing.T) {
	clock := newFakeClock()
	machine := startMachine(t, clock.reading)
	cfg := testConfig(clock)
	cfg.RequestTimeout = 100 * time.Millisecond
	s := &testServer{Server: NewClients(cfg), t: t, clock: clock}
	l := loopback(t)
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	c := s.dial()
	check(t, c.get("/version"), 200, "etcd v9")
	check(t, c.get("/health"), 503, `{"health":"false","reason":"RAFT NO LEADER"}`)
	for _, target := range []string{"/machines", "/v1/keys/a", "/v1/keys/a?quorum=false", "/v1/watch/a", "/stats"} {
		if r := c.get(target); r.status != http.StatusInternalServerError || !strings.Contains(r.body, `"errorCode":301`) {
			t.Errorf("%s: %d %s", target, r.status, r.body)
		}
	}
	s.Attach(machine)
	check(t, c.get("/machines"), 200, "127.0.0.1:4001")
	check(t, c.get("/health"), 200, `{"health":"true"}`)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
