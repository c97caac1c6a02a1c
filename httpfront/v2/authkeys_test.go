package v2

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// verdict is what becomes of a request.
type verdict int

const (
	allowed verdict = iota
	refused
	malformed
)

func verdictOf(status int) verdict {
	switch status {
	case 401:
		return refused
	case 400:
		return malformed
	}
	return allowed
}

// Every key is checked where it is asked for, in both APIs, on the way that the client's bytes take and
// on the other one.
func TestKeysAreGuarded(t *testing.T) {
	s := serveUsers(t)
	c := s.Dial()
	must(c, "", "PUT", "/v2/keys/queue/a", "value=1")
	must(c, "", "PUT", "/v2/keys/secret/b", "value=1")
	s.enable(
		[]string{"reads /queue,/queue/* /none", "writes /none /queue/*", "parent /queue/* /queue/*"},
		[]string{"al reads,writes", "bo parent"},
	)
	for _, test := range []struct {
		user, method, target, body string
		want                       verdict
	}{
		{"al:pw", "GET", "/v2/keys/queue", "", allowed},
		{"al:pw", "HEAD", "/v2/keys/queue", "", allowed},
		{"al:pw", "GET", "/v2/keys/queue?recursive=true", "", allowed},
		{"al:pw", "GET", "/v2/keys/queue/a?quorum=false", "", allowed},
		{"al:pw", "GET", "/v2/keys/queue/a?wait=true&waitIndex=1", "", allowed},
		{"al:pw", "PUT", "/v2/keys/queue/c", "value=1", allowed},
		{"al:pw", "PUT", "/v2/keys/queue/c", "value=1&ttl=5", allowed},
		{"al:pw", "POST", "/v2/keys/queue/d", "value=1", allowed},
		{"al:pw", "DELETE", "/v2/keys/queue/d?recursive=true", "", allowed},
		{"al:pw", "GET", "/v1/keys/queue/a", "", allowed},
		{"al:pw", "POST", "/v1/keys/queue/c", "value=1", allowed},
		{"al:pw", "POST", "/v1/keys/queue/c", "value=1&ttl=-1", allowed},
		{"al:pw", "GET", "/v1/watch/queue/a?index=1", "", allowed},
		{"al:pw", "GET", "/v2/keys/../v2/keys/queue/./a", "", allowed},
		{"bo:pw", "GET", "/v2/keys/queue/a", "", allowed},
		{"root:pw", "GET", "/v2/keys/?recursive=true", "", allowed},
		{"root:pw", "GET", "/v1/keys/secret/b", "", allowed},

		{"al:pw", "GET", "/v2/keys/queuex", "", refused},
		{"al:pw", "GET", "/v2/keys/", "", refused},
		{"al:pw", "GET", "/v2/keys?recursive=true", "", refused},
		{"al:pw", "GET", "/v2/keys/queue/../secret/b", "", refused},
		{"al:pw", "GET", "/v2/keys/queue/%2e%2e/secret/b", "", refused},
		{"al:pw", "GET", "/v2/keys/secret/b?quorum=false", "", refused},
		{"al:pw", "GET", "/v2/keys/secret?wait=true", "", refused},
		{"al:pw", "GET", "/v2/keys/secret?wait=true&stream=true", "", refused},
		{"al:pw", "GET", "/v2/keys/?wait=true&recursive=true&waitIndex=1", "", refused},
		{"al:pw", "GET", "/v2/keys/missing/x", "", refused},
		{"al:pw", "PUT", "/v2/keys/queue", "value=1", refused},
		{"al:pw", "PUT", "/v2/keys/queue", "dir=true&prevExist=true", refused},
		{"al:pw", "PUT", "/v2/keys/", "value=1", refused},
		{"al:pw", "POST", "/v2/keys/queue", "value=1", refused},
		{"al:pw", "DELETE", "/v2/keys/queue?recursive=true", "", refused},
		{"al:pw", "PUT", "/v2/keys/secret/b", "value=1&prevExist=true", refused},
		{"al:pw", "POST", "/v1/keys/secret/b", "value=1", refused},
		{"al:pw", "POST", "/v1/keys/secret/b", "value=1&ttl=0", refused},
		{"al:pw", "POST", "/v1/keys/secret/b", "value=1&prevValue=1", refused},
		{"al:pw", "DELETE", "/v1/keys/secret/b", "", refused},
		{"al:pw", "GET", "/v1/keys/secret/b", "", refused},
		{"al:pw", "GET", "/v1/get/secret/b", "", refused},
		{"al:pw", "GET", "/v1/watch/secret", "", refused},
		{"al:pw", "POST", "/v1/watch/secret", "index=1", refused},
		{"al:pw", "GET", "/v1/watch/queue?stream=true&key=/secret", "", refused},
		{"bo:pw", "GET", "/v2/keys/queue", "", refused},
		{"bo:pw", "GET", "/v2/keys/queue/", "", refused},
		{"bo:pw", "GET", "/v2/keys/queue?recursive=true", "", refused},
		{"bo:pw", "GET", "/v2/keys//queue//?recursive=true", "", refused},
		{"bo:pw", "DELETE", "/v2/keys/queue/?recursive=true", "", refused},
		{"bo:pw", "GET", "/v1/watch/queue", "", refused},
		{"", "GET", "/v2/keys/queue/a", "", refused},
		{"", "PUT", "/v2/keys/queue/a", "value=1", refused},
		{"", "GET", "/v1/keys/queue/a", "", refused},
		{"al:wrong", "GET", "/v2/keys/queue/a", "", refused},
		{"nobody:pw", "GET", "/v2/keys/queue/a", "", refused},
		{":pw", "GET", "/v2/keys/queue/a", "", refused},
		{"root:", "GET", "/v2/keys/queue/a", "", refused},

		{"", "PUT", "/v2/keys/queue/a", "value=1&ttl=x", malformed}, // which is found first
		{"", "POST", "/v1/keys/queue/a", "value=1&ttl=x", malformed},
	} {
		for _, way := range []string{"directly", "by fasthttp"} {
			raw := request(test.user, test.method, test.target, test.body)
			if way != "directly" { // which refuses what is that large
				raw = strings.Replace(raw, "\r\n", "\r\nX-Padding: "+strings.Repeat("x", 5000)+"\r\n", 1)
			}
			c.Send("%s", raw)
			r := c.Reply(test.method)
			what := fmt.Sprintf("%s, %s: %s %s %s", test.user, way, test.method, test.target, test.body)
			switch got := verdictOf(r.Status); {
			case got != test.want:
				t.Errorf("%s: %d %s", what, r.Status, r.Body)
			case got == refused && strings.HasPrefix(test.target, "/v1"):
				wantRefused(t, what, r, refusedV1)
			case got == refused:
				wantRefused(t, what, r, refusedKey)
			}
		}
	}
	for _, header := range []string{"Basic !!!", "Basic", "Bearer x", "Basic " + base64.StdEncoding.EncodeToString([]byte("root")),
		"Basic cm9vdDpwdw==\r\nAuthorization: Basic cm9vdDpwdw=="} {
		c.Send("GET /v2/keys/queue/a HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", header)
		wantRefused(t, header, c.Reply("GET"), refusedKey)
	}
}

// What is not about keys is open, or for root.
func TestOtherRoutesAreGuarded(t *testing.T) {
	s := serveUsers(t)
	s.enable([]string{"app /* /*"}, []string{"al app"})
	c := s.Dial()
	for _, target := range []string{"/v2/members", "/v2/machines", "/v2/leader", "/v2/stats/self", "/v2/stats/store", "/v2/auth/enable"} {
		for _, user := range []string{"", "al:pw", "al:wrong"} {
			if r := do(c, user, "GET", target, ""); r.Status != 200 {
				t.Errorf("%q GET %s: %d %s", user, target, r.Status, r.Body)
			}
		}
	}
	for _, test := range [][3]string{
		{"POST", "/v2/members", `{"peerURLs":["http://127.0.0.1:7005"]}`}, {"DELETE", "/v2/members/b", ""}, {"PUT", "/v2/members/b", `{"peerURLs":["http://127.0.0.1:7005"]}`},
		{"GET", "/v2/auth/users", ""}, {"GET", "/v2/auth/roles", ""}, {"GET", "/v2/auth/users/root", ""}, {"GET", "/v2/auth/roles/app", ""},
		{"PUT", "/v2/auth/users/bo", `{"user":"bo","password":"pw"}`}, {"PUT", "/v2/auth/users/bo", `{`}, {"DELETE", "/v2/auth/users/al", ""},
		{"PUT", "/v2/auth/roles/guest", `{"role":"guest"}`}, {"DELETE", "/v2/auth/roles/app", ""}, {"PUT", "/v2/auth/enable", ""}, {"DELETE", "/v2/auth/enable", ""},
	} {
		for _, user := range []string{"", "al:pw", "root:wrong", "nobody:pw"} {
			r := do(c, user, test[0], test[1], test[2])
			wantRefused(t, user+" "+test[0]+" "+test[1], r, refusedAny)
			if r.Header.Get("X-Etcd-Cluster-Id") != "" {
				t.Errorf("%s %s tells the cluster ID", test[0], test[1])
			}
		}
	}
	if r := do(c, "root:pw", "POST", "/v2/members", `{"peerURLs":["http://127.0.0.1:7005"]}`); r.Status != 201 {
		t.Errorf("root cannot add a member: %d %s", r.Status, r.Body)
	}
}

// A user may read itself and change its own password, and nothing else about itself.
func TestOwnUser(t *testing.T) {
	s := serveUsers(t)
	s.enable([]string{"app /* /none"}, []string{"al app", "bo app"})
	c := s.Dial()
	const body = `{"user":"al","roles":[{"role":"app","permissions":{"kv":{"read":["/*"],"write":["/none"]}}}]}` + "\n"
	fronttest.Check(t, do(c, "al:pw", "GET", "/v2/auth/users/al", ""), 200, body)
	for _, refused := range []string{
		`{"user":"al","grant":["root"]}`, `{"user":"al","password":"x","grant":["root"]}`, `{"user":"al","password":"x","revoke":["app"]}`,
		`{"user":"al","password":"x","roles":["root"]}`, `{"user":"al"}`,
	} {
		wantRefused(t, refused, do(c, "al:pw", "PUT", "/v2/auth/users/al", refused), refusedAny)
	}
	wantRefused(t, "another user", do(c, "al:pw", "PUT", "/v2/auth/users/bo", `{"user":"bo","password":"x"}`), refusedAny)
	wantRefused(t, "its end", do(c, "al:pw", "DELETE", "/v2/auth/users/al", ""), refusedAny)
	fronttest.Check(t, do(c, "al:pw", "PUT", "/v2/auth/users/al", `{"user":"al","password":"new"}`), 200, `{"user":"al","roles":["app"]}`+"\n")
	wantRefused(t, "the former password", do(c, "al:pw", "GET", "/v2/auth/users/al", ""), refusedAny)
	wantRefused(t, "the former password", do(c, "al:pw", "GET", "/v2/keys/", ""), refusedKey)
	fronttest.Check(t, do(c, "al:new", "GET", "/v2/auth/users/al", ""), 200, body)
}

// A verified password counts until anything about it changes.
func TestVerifiedPasswords(t *testing.T) {
	s := serveUsers(t)
	s.enable([]string{"app /* /*"}, []string{"al app"})
	c := s.Dial()
	read := func(user string) int { return do(c, user, "GET", "/v2/keys/", "").Status }
	for range 3 {
		if got := read("al:pw"); got != 200 {
			t.Fatal(got)
		}
	}
	for _, step := range []struct {
		method, target, body string
		user                 string
		status               int
	}{
		{"PUT", "users/al", `{"user":"al","password":"new"}`, "al:pw", 401},
		{"PUT", "users/al", `{"user":"al","revoke":["app"]}`, "al:new", 401},
		{"PUT", "users/al", `{"user":"al","grant":["app"]}`, "al:new", 200},
		{"PUT", "roles/app", `{"role":"app","revoke":{"kv":{"read":["/*"]}}}`, "al:new", 401},
		{"DELETE", "users/al", "", "al:new", 401},
		{"PUT", "users/al", `{"user":"al","password":"pw","roles":["root"]}`, "al:new", 401},
		{"GET", "users", "", "al:pw", 200},
		{"DELETE", "enable", "", "nobody:x", 200},
	} {
		must(c, "root:pw", step.method, "/v2/auth/"+step.target, step.body)
		if got := read(step.user); got != step.status {
			t.Errorf("%s after %s %s %s: %d", step.user, step.method, step.target, step.body, got)
		}
	}
}

// A watch ends when its client may not have its events any more, before it gets one.
func TestRevokedWatches(t *testing.T) {
	s := serveUsers(t)
	s.enable([]string{"app /* /*"}, []string{"al app"})
	targets := []string{"/v2/keys/a?wait=true", "/v2/keys/a?wait=true&timeout=60", "/v2/keys/a?wait=true&stream=true", "/v1/watch/a", "/v1/watch/a?stream=true"}
	var clients []*fronttest.Client
	for _, target := range targets {
		c := s.Dial()
		c.Send("%s", request("al:pw", "GET", target, ""))
		clients = append(clients, c)
	}
	s.WaitForWatchers(int64(len(targets)))
	root := s.Dial()
	must(root, "root:pw", "PUT", "/v2/auth/roles/other", `{"role":"other"}`) // which changes nothing for them
	must(root, "root:pw", "PUT", "/v2/keys/b", "value=1")
	must(root, "root:pw", "PUT", "/v2/auth/users/al", `{"user":"al","revoke":["app"]}`)
	must(root, "root:pw", "PUT", "/v2/keys/a", "value=secret")
	for i, c := range clients {
		resp, err := http.ReadResponse(c.In, nil)
		if err != nil {
			t.Errorf("%s: %v", targets[i], err)
			continue
		}
		var all strings.Builder
		_ = resp.Write(&all) // a stream is cut off
		if strings.Contains(all.String(), "secret") || strings.Contains(targets[i], "timeout") && resp.StatusCode != 401 {
			t.Errorf("%s: %s", targets[i], all.String())
		}
	}
}

// A watch that began while users and roles were off goes on as long as guests may do everything.
func TestWatchesBeforeUsers(t *testing.T) {
	s := serveUsers(t)
	c := s.Dial()
	must(c, "", "PUT", "/v2/auth/users/root", `{"user":"root","password":"pw"}`)
	open, closed := s.Dial(), s.Dial()
	open.Send("%s", request("", "GET", "/v2/keys/a?wait=true&timeout=60", ""))
	closed.Send("%s", request("", "GET", "/v2/keys/b?wait=true&timeout=60", ""))
	s.WaitForWatchers(2)
	must(c, "", "PUT", "/v2/auth/enable", "")
	must(c, "", "PUT", "/v2/keys/a", "value=1")
	if r := open.Reply("GET"); r.Status != 200 {
		t.Errorf("guests may read everything: %d %s", r.Status, r.Body)
	}
	must(c, "root:pw", "DELETE", "/v2/auth/roles/guest", "")
	must(c, "root:pw", "PUT", "/v2/keys/b", "value=1")
	wantRefused(t, "guests may read nothing", closed.Reply("GET"), refusedKey)
}

// With client certificates the common name is the user, unless there is basic auth.
func TestCertificatesNameUsers(t *testing.T) {
	s := serveUsers(t, fronttest.WithClientCerts)
	root := s.DialAs(certificate(s, "root"))
	must(root, "", "PUT", "/v2/auth/roles/app", `{"role":"app","permissions":{"kv":{"read":["/a"],"write":["/a"]}}}`)
	must(root, "", "PUT", "/v2/auth/users/al", `{"user":"al","password":"pw","roles":["app"]}`)
	must(root, "", "PUT", "/v2/auth/users/root", `{"user":"root","password":"pw"}`)
	must(root, "", "PUT", "/v2/auth/enable", "")
	must(root, "", "PUT", "/v2/auth/roles/guest", `{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}`)
	must(root, "", "PUT", "/v2/auth/roles/guest", `{"role":"guest","grant":{"kv":{"read":["/g"]}}}`)
	for _, test := range []struct {
		name, user, method, target, body string
		status                           int
	}{
		{"al", "", "PUT", "/v2/keys/a", "value=1", 201},
		{"al", "", "PUT", "/v2/keys/b", "value=1", 401},
		{"al", "", "GET", "/v2/keys/g", "", 401},
		{"al", "root:pw", "PUT", "/v2/keys/b", "value=1", 201},
		{"al", "al:no", "PUT", "/v2/keys/a", "value=1", 401},
		{"nobody", "", "GET", "/v2/keys/g", "", 404},
		{"nobody", "", "GET", "/v2/keys/a", "", 401},
		{"nobody", "", "GET", "/v2/auth/users", "", 401},
		{"root", "", "GET", "/v2/auth/users", "", 200},
		{"al", "", "GET", "/v2/auth/users/al", "", 200},
	} {
		if r := do(s.DialAs(certificate(s, test.name)), test.user, test.method, test.target, test.body); r.Status != test.status {
			t.Errorf("%s with %q: %s %s: %d %s", test.name, test.user, test.method, test.target, r.Status, r.Body)
		}
	}
}

// certificate returns the configuration of a client whose certificate has a common name.
func certificate(s guarded, name string) *tls.Config {
	cfg := s.TLS.Clone()
	cfg.Certificates = []tls.Certificate{fronttest.CA().Issue(name).TLS()}
	return cfg
}
