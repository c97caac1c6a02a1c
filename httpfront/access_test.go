package httpfront_test

import (
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/ops"
	v1 "etcd/httpfront/v1"
	v2 "etcd/httpfront/v2"
	"etcd/passwords"
	"etcd/peerfront"
)

func allRoutes(clock *fronttest.Clock) []httpfront.Route {
	cfg := ops.Config{Clock: clock.Read}
	return slices.Concat(
		v1.Routes(v1.Config{}), v2.Routes(v2.Config{Clock: clock.Read, Log: slog.New(slog.DiscardHandler)}), ops.Routes(cfg), peerfront.Misdirected(), ops.Profiles(),
	)
}

// Every route for clients says who may use it while users and roles are on.
func TestRoutesAreGuarded(t *testing.T) {
	for _, r := range allRoutes(fronttest.NewClock()) {
		if r.Guard == httpfront.Refused && len(r.Methods) > 0 {
			t.Errorf("%s does not say who may use it", r.Path)
		}
	}
}

// serveUsers serves with users and roles, of which guests can do nothing, and root has the password pw.
func serveUsers(t testing.TB) *fronttest.Server {
	t.Helper()
	cfg := fronttest.Config()
	cfg.Passwords = passwords.New(passwords.MinCost)
	says := httpfront.Get(func(*httpfront.Exchange) httpfront.Answer { return httpfront.Text("ok") })
	s := fronttest.Serve(t, fronttest.Loopback(t), cfg, func(clock *fronttest.Clock) []httpfront.Route {
		return append([]httpfront.Route{
			{Path: "/silent", Methods: says}, {Path: "/silent/early", Methods: says, Early: true}, {Path: "/silent/direct", Methods: says, Direct: true},
			{Path: "/open", Methods: says, Guard: httpfront.Open},
		}, allRoutes(clock)...)
	})
	c := s.Dial()
	for _, r := range [][3]string{
		{"PUT", "/v2/auth/users/root", `{"user":"root","password":"pw"}`}, {"PUT", "/v2/auth/users/al", `{"user":"al","password":"pw"}`},
		{"PUT", "/v2/auth/roles/guest", `{"role":"guest","permissions":{"kv":{"read":[],"write":[]}}}`}, {"PUT", "/v2/auth/enable", ""},
	} {
		if r := c.Do(r[0], r[1], r[2]); r.Status >= 300 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	}
	return s
}

// get asks for something as a user, who has the password pw; "" is nobody.
func get(s *fronttest.Server, user, target string) int {
	request := fronttest.RawRequest("GET", target, "")
	if user != "" {
		request = strings.Replace(request, "\r\n", "\r\nAuthorization: basic "+base64.StdEncoding.EncodeToString([]byte(user+":pw"))+"\r\n", 1)
	}
	c := s.Dial()
	c.Send("%s", request)
	return c.Reply("GET").Status
}

func TestGuards(t *testing.T) {
	s := serveUsers(t)
	for target, want := range map[string][3]int{ // of nobody, a user and root
		"/silent": {401, 401, 401}, "/silent/early": {401, 401, 401}, "/silent/direct": {401, 401, 401},
		"/open": {200, 200, 200}, "/health": {200, 200, 200}, "/livez": {200, 200, 200}, "/version": {200, 200, 200}, "/machines": {200, 200, 200}, "/v1/leader": {200, 200, 200},
		"/debug/pprof/heap": {401, 401, 200}, "/v2/auth/users": {401, 401, 200}, "/v2/members": {200, 200, 200}, "/v1/keys/": {401, 401, 200}, "/nothing": {404, 404, 404},
	} {
		if got := [3]int{get(s, "", target), get(s, "al", target), get(s, "root", target)}; got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

// The ports of those who run the machines have nothing to do with users.
func TestOtherPortsHaveNoUsers(t *testing.T) {
	s := serveUsers(t)
	peers := s.ServePeerPort(fronttest.Loopback(t), io.Discard, fronttest.Config(), peerRoutes())
	if got := get(peers, "", "/machines"); got != http.StatusOK {
		t.Errorf("the peer port: %d", got)
	}
	trusted := fronttest.Config()
	trusted.Trusted = true
	admin := fronttest.ServeWithout(t, fronttest.Loopback(t), trusted, allRoutes(s.Clock))
	admin.Attach(s.Machine)
	for _, target := range []string{"/debug/pprof/heap", "/v2/auth/users", "/v1/keys/"} {
		if got := get(admin, "", target); got != http.StatusOK {
			t.Errorf("a trusted port: %s: %d", target, got)
		}
	}
	c := admin.Dial()
	if r := c.Do("PUT", "/v2/keys/a", "value=1"); r.Status != http.StatusCreated {
		t.Errorf("a trusted port writes: %d %s", r.Status, r.Body)
	}
}

// Whoever guesses passwords is told to stop.
func TestGuessingIsSlow(t *testing.T) {
	s := serveUsers(t)
	for i := range 100 {
		switch got := get(s, strings.Repeat("x", i+1), "/v1/keys/"); {
		case got == http.StatusTooManyRequests && i >= 40:
			return
		case got != http.StatusUnauthorized:
			t.Fatalf("guess %d: %d", i, got)
		}
	}
	t.Error("nobody stops whoever guesses")
}
