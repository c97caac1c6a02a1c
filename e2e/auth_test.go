package e2e

import (
	"encoding/base64"
	"net/http"
	"testing"
)

// as is a request of a user, whose password is the name.
func (r request) as(user string) request {
	credentials := base64.StdEncoding.EncodeToString([]byte(user + ":" + user))
	r.header = append([][2]string{{"Authorization", "Basic " + credentials}}, r.header...)
	return r
}

// auth is a PUT below /v2/auth.
func auth(target, body string) request {
	return request{method: http.MethodPut, target: "/v2/auth/" + target, body: []byte(body)}
}

// change sends requests, all of which have to succeed.
func (s *server) change(requests ...request) {
	s.t.Helper()
	for _, r := range requests {
		if got := s.do(r); got.status >= 300 {
			s.t.Fatalf("%s %s %s: %d %s", r.method, r.target, r.body, got.status, got.body)
		}
	}
}

// TestUsersOfACluster checks that users and roles are the same on all machines, whichever has changed them,
// that a machine which has slept lets nothing through, and that they outlast a power cut and a snapshot.
func TestUsersOfACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "--bcrypt-cost", "4", "--snapshot-count", "20")
	waitUntil(t, "the version of the v2 API", func() bool { return c.members[0].do(put("/v2/keys/a", "value", "1")).status < 300 })
	leader := c.leader()
	others := c.others(leader)
	others[0].change(
		auth("roles/app", `{"role":"app","permissions":{"kv":{"read":["/app/*"],"write":["/app/*"]}}}`),
		auth("users/al", `{"user":"al","password":"al","roles":["app"]}`),
	)
	others[1].change(auth("users/root", `{"user":"root","password":"root"}`), auth("enable", ""))
	leader.change(del("/v2/auth/roles/guest").as("root"))
	write, read := put("/v2/keys/app/a", "value", "1").as("al"), get("/v2/keys/app/a").as("al")
	check := func(when string, status int) {
		t.Helper()
		for _, s := range c.members {
			for _, r := range []request{write, read, put("/v1/keys/app/b", "value", "1").as("al")} {
				if got := s.do(r); got.status != status && !(got.status < 300 && status < 300) {
					t.Errorf("%s: %s %s at %s: %d %s", when, r.method, r.target, s.name, got.status, got.body)
				}
			}
			for _, r := range []request{get("/v2/keys/app/a"), put("/v2/keys/x", "value", "1").as("al"), get("/v2/auth/users").as("al"), get("/v1/keys/app/a"), put("/quota", "bytes", "2097152").as("al")} {
				if got := s.do(r); got.status != http.StatusUnauthorized {
					t.Errorf("%s: %s %s at %s: %d %s", when, r.method, r.target, s.name, got.status, got.body)
				}
			}
		}
	}
	check("at first", http.StatusOK)
	c.kill(c.members...)
	for _, s := range c.members {
		s.launch()
	}
	// A machine that reads its log has not come yet to where users and roles are turned on.
	waitUntil(t, "the machines", func() bool {
		serving := true
		for _, s := range c.members {
			got, err := exchange(s.client, get("/v2/keys/a?wait=true&waitIndex=1&timeout=10"))
			if err == nil && got.status < 300 {
				t.Errorf("at a start: %d %s", got.status, got.body)
			}
			serving = serving && err == nil && got.status == http.StatusUnauthorized
		}
		return serving
	})
	leader = c.leader()
	others = c.others(leader)
	check("after a restart", http.StatusOK)

	sleeper := others[0]
	waiting := make([]*conn, 2)
	for i := range waiting {
		waiting[i] = sleeper.dial()
	}
	sleeper.proc.signal(sigStop)
	leader.change(auth("users/al", `{"user":"al","revoke":["app"]}`).as("root"))
	for i, r := range []request{write, read} { // they have arrived when it wakes up
		if err := waiting[i].send(r); err != nil {
			t.Fatal(err)
		}
	}
	sleeper.proc.signal(sigCont)
	for i, r := range []request{write, read} {
		if got, err := waiting[i].receive(r.method); err != nil || got.status != http.StatusUnauthorized {
			t.Errorf("%s at a machine that has slept: %v %d %s", r.method, err, got.status, got.body)
		}
	}
	check("revoked", http.StatusUnauthorized)
	leader.change(auth("users/al", `{"user":"al","grant":["app"]}`).as("root"))

	for range 30 { // so that there is a snapshot
		leader.change(write)
	}
	c.kill(c.members...)
	c.start(c.members...)
	c.leader()
	check("after a power cut and a snapshot", http.StatusOK)
	leader.change(put("/quota", "bytes", "2097152").as("root"))
	c.checkSameState()
}
