package v2

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	v1 "etcd/httpfront/v1"
	"etcd/passwords"
)

// guarded is a server with users whose passwords are cheap to verify, and what it has logged about them.
type guarded struct {
	*fronttest.Server
	log       *fronttest.LogBuffer
	passwords *passwords.Checker
}

func serveUsers(t testing.TB, edit ...func(*httpfront.Config)) guarded {
	t.Helper()
	cfg := fronttest.Config()
	cfg.Passwords = passwords.New(passwords.MinCost)
	for _, e := range edit {
		e(&cfg)
	}
	log := &fronttest.LogBuffer{}
	return guarded{fronttest.Serve(t, fronttest.Loopback(t), cfg, func(clock *fronttest.Clock) []httpfront.Route {
		config := Config{Clock: clock.Read, NewID: func() uint64 { return 5 }, Log: slog.New(slog.NewTextHandler(log, nil))}
		return append(v1.Routes(v1.Config{}), Routes(config)...)
	}), log, cfg.Passwords}
}

// request returns the bytes of a request of a user, which is "name:password"; "" is nobody.
func request(user, method, target, body string) string {
	request := fronttest.RawRequest(method, target, body)
	if user == "" {
		return request
	}
	authorization := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user)) + "\r\n"
	return strings.Replace(request, "\r\n", "\r\n"+authorization, 1)
}

func do(c *fronttest.Client, user, method, target, body string) fronttest.Reply {
	c.T.Helper()
	c.Send("%s", request(user, method, target, body))
	return c.Reply(method)
}

// must is do for requests that change users and roles, and have to succeed.
func must(c *fronttest.Client, user, method, target, body string) {
	c.T.Helper()
	if r := do(c, user, method, target, body); r.Status != 200 && r.Status != 201 {
		c.T.Fatalf("%s %s %s: %d %s", method, target, body, r.Status, r.Body)
	}
}

// enable turns users and roles on, and lets guests do nothing. Roles are "name read,read write,write", and
// users, whose password is pw, "name role,role".
func (s guarded) enable(roles, users []string) {
	s.T.Helper()
	c := s.Dial()
	quoted := func(list string) string { return `["` + strings.ReplaceAll(list, ",", `","`) + `"]` }
	for _, role := range roles {
		w := strings.Fields(role)
		must(c, "", "PUT", "/v2/auth/roles/"+w[0], fmt.Sprintf(`{"role":%q,"permissions":{"kv":{"read":%s,"write":%s}}}`, w[0], quoted(w[1]), quoted(w[2])))
	}
	for _, user := range append(users, "root root") {
		w := strings.Fields(user)
		must(c, "", "PUT", "/v2/auth/users/"+w[0], fmt.Sprintf(`{"user":%q,"password":"pw","roles":%s}`, w[0], quoted(w[1])))
	}
	must(c, "", "PUT", "/v2/auth/enable", "")
	must(c, "root:pw", "DELETE", "/v2/auth/roles/guest", "")
}

const (
	refusedKey = `^{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials","index":\d+}\n$`
	refusedAny = `^{"message":"Insufficient credentials"}$`
	// refusedV1 is what v1 says.
	refusedV1 = `^{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials"}$`
)

// wantRefused fails the test unless an answer asks for a user and a password.
func wantRefused(t testing.TB, what string, r fronttest.Reply, body string) {
	t.Helper()
	if r.Status != 401 || !regexp.MustCompile(body).MatchString(r.Body) || r.Header.Get("Content-Type") != httpfront.TypeJSON ||
		r.Header.Get("WWW-Authenticate") != `Basic realm="etcd", charset="UTF-8"` {
		t.Errorf("%s: %d %v %s", what, r.Status, r.Header, r.Body)
	}
}

// The answers are those of etcd 3.4.
func TestAuthAnswers(t *testing.T) {
	s := serveUsers(t)
	c := s.Dial()
	const unchanged = `{"message":"auth: User not updated. Use grant/revoke/password to update the user."}`
	for _, step := range []struct {
		method, target, body string
		status               int
		answer               string
	}{
		{"GET", "enable", "", 200, `{"enabled":false}` + "\n"},
		{"GET", "users", "", 200, `{"users":null}` + "\n"},
		{"GET", "roles", "", 200, `{"roles":[{"role":"root","permissions":{"kv":{"read":["/*"],"write":["/*"]}}}]}` + "\n"},
		{"PUT", "enable", "", 409, `{"message":"auth: No root user available, please create one"}`},
		{"DELETE", "enable", "", 409, `{"message":"auth: already disabled"}`},
		{"PUT", "users/u1", `{"user":"u1","password":"x"}`, 201, `{"user":"u1","roles":null}` + "\n"},
		{"PUT", "users/u1", `{"user":"u1"}`, 200, `{"user":"u1","roles":[]}` + "\n"},
		{"PUT", "users/u1", `{"user":"u1"}`, 400, unchanged},
		{"PUT", "users/u1", `{"user":"u1","roles":["zz"]}`, 400, `{"message":"auth: Cannot create user u1 with an empty password"}`},
		{"PUT", "users/u2", `{"user":"u2","password":"p","roles":["zz","b","b"]} what follows`, 200, `{"user":"u2","roles":["zz","b","b"]}` + "\n"},
		{"PUT", "users/u2", `{"user":"u2","password":"p","roles":["zz"]}`, 409, `{"message":"auth: User u2 already exists."}`},
		{"GET", "users/u2", "", 404, `{"message":"auth: Role zz does not exist."}`},
		{"GET", "users", "", 200, `{"users":[{"user":"u1"},{"user":"u2"}]}` + "\n"},
		{"GET", "users/", "", 200, `{"users":[{"user":"u1"},{"user":"u2"}]}` + "\n"},
		{"GET", "users/u2/x", "", 400, `{"message":"Invalid path"}`},
		{"PUT", "users/u3", `{"user":`, 400, `{"message":"Invalid JSON in request body."}`},
		{"PUT", "users/u3", `{"user":3}`, 400, `{"message":"Invalid JSON in request body."}`},
		{"PUT", "users/u3", ``, 400, `{"message":"Invalid JSON in request body."}`},
		{"PUT", "users/u3", `{"user":"u4","password":"x"}`, 400, `{"message":"User JSON name does not match the name in the URL"}`},
		{"PUT", "users/u1", `{"user":"u1","roles":["a"],"grant":["b"]}`, 400, `{"message":"User JSON contains both roles and grant/revoke"}`},
		{"PUT", "users/u1", `{"user":"u1","grant":["r1"]}`, 200, `{"user":"u1","roles":["r1"]}` + "\n"},
		{"PUT", "users/u1", `{"user":"u1","grant":["r1"]}`, 409, `{"message":"auth: Granting duplicate role r1 for user u1"}`},
		{"PUT", "users/u1", `{"user":"u1","revoke":["r2"]}`, 409, `{"message":"auth: Revoking ungranted role r2 for user u1"}`},
		{"PUT", "users/u1", `{"user":"u1","grant":["r2"],"revoke":["r2"]}`, 400, unchanged},
		{"PUT", "users/u3", `{"user":"u3","grant":["r2"]}`, 404, `{"message":"auth: User u3 does not exist."}`},
		{"DELETE", "users/u3", "", 404, `{"message":"auth: User u3 does not exist"}`},
		{"GET", "users/u3", "", 404, `{"message":"auth: User u3 does not exist."}`},
		{"PUT", "roles/r1", `{"role":"r1"}`, 201, `{"role":"r1","permissions":{"kv":{"read":null,"write":null}}}` + "\n"},
		{"GET", "roles/r1", "", 200, `{"role":"r1","permissions":{"kv":{"read":null,"write":null}}}` + "\n"},
		{"GET", "users/u1", "", 200, `{"user":"u1","roles":[{"role":"r1","permissions":{"kv":{"read":null,"write":null}}}]}` + "\n"},
		{"PUT", "roles/r1", `{"role":"r1","grant":{"kv":{"read":["/b","/a"]}}}`, 200, `{"role":"r1","permissions":{"kv":{"read":["/a","/b"],"write":[]}}}` + "\n"},
		{"PUT", "roles/r1", `{"role":"r1","grant":{"kv":{"read":["/a"]}}}`, 409, `{"message":"auth: Granting duplicate read permission /a"}`},
		{"PUT", "roles/r1", `{"role":"r1","grant":{"kv":{"write":["/q","/q"]}}}`, 409, `{"message":"auth: Granting duplicate write permission /q"}`},
		{"PUT", "roles/r1", `{"role":"r1","revoke":{"kv":{"read":["/z"]}}}`, 400, `{"message":"auth: Role not updated. Use grant/revoke to update the role."}`},
		{"PUT", "roles/r1", `{"role":"r1","permissions":{"kv":{"read":["/q"]}},"grant":{"kv":{"read":["/q"]}}}`, 400, `{"message":"Role JSON contains both permissions and grant/revoke"}`},
		{"PUT", "roles/r1", `{"role":"r1","permissions":{"kv":{"read":["/q"]}}}`, 409, `{"message":"auth: Role r1 already exists."}`},
		{"PUT", "roles/r2", `{"role":"r1"}`, 400, `{"message":"Role JSON name does not match the name in the URL"}`},
		{"PUT", "roles/r2", `{`, 400, `{"message":"Invalid JSON in request body."}`},
		{"PUT", "roles/r2", `{"role":"r2","grant":{"kv":{"read":["/a"]}}}`, 404, `{"message":"auth: Role r2 does not exist."}`},
		{"GET", "roles/r2", "", 404, `{"message":"auth: Role r2 does not exist."}`},
		{"DELETE", "roles/r2", "", 404, `{"message":"auth: Role r2 doesn't exist."}`},
		{"PUT", "roles/root", `{"role":"root"}`, 403, `{"message":"auth: Cannot modify role root: is root role."}`},
		{"DELETE", "roles/root", "", 403, `{"message":"auth: Cannot modify role root: is root role."}`},
		{"PUT", "users/root", `{"user":"root","password":"pw"}`, 201, `{"user":"root","roles":["root"]}` + "\n"},
		{"PUT", "enable", "", 200, ""},
		{"PUT", "enable", "", 409, `{"message":"auth: already enabled"}`},
		{"GET", "enable", "", 200, `{"enabled":true}` + "\n"},
		{"GET", "roles", "", 200, `{"roles":[{"role":"guest","permissions":{"kv":{"read":["/*"],"write":["/*"]}}},` +
			`{"role":"r1","permissions":{"kv":{"read":["/a","/b"],"write":[]}}},{"role":"root","permissions":{"kv":{"read":["/*"],"write":["/*"]}}}]}` + "\n"},
		{"DELETE", "users/root", "", 403, `{"message":"auth: Cannot delete root user while auth is enabled."}`},
		{"DELETE", "users/u1", "", 200, ""},
		{"DELETE", "roles/r1", "", 200, ""},
		{"DELETE", "enable", "", 200, ""},
		{"DELETE", "users/root", "", 200, ""},
	} {
		r := do(c, "root:pw", step.method, "/v2/auth/"+step.target, step.body) // while they are off it does not matter who
		if r.Status != step.status || r.Body != step.answer || r.Header.Get("Content-Type") != httpfront.TypeJSON {
			t.Errorf("%s %s %s\ngot  %d %s\nwant %d %s", step.method, step.target, step.body, r.Status, r.Body, step.status, step.answer)
		}
		if has := r.Header.Get("X-Etcd-Cluster-Id") != ""; has != (step.target != "users/u2/x") {
			t.Errorf("%s %s: the cluster ID is told: %t", step.method, step.target, has)
		}
	}
	for _, step := range []struct{ method, target, allow string }{
		{"POST", "users", "GET"}, {"PUT", "roles", "GET"}, {"HEAD", "users", "GET"}, {"POST", "users/al", "GET,PUT,DELETE"}, {"PATCH", "roles/a", "GET,PUT,DELETE"},
		{"POST", "enable", "GET,PUT,DELETE"},
	} {
		if r := do(c, "", step.method, "/v2/auth/"+step.target, ""); r.Status != 405 || r.Header.Get("Allow") != step.allow {
			t.Errorf("%s %s: %d, Allow: %s", step.method, step.target, r.Status, r.Header.Get("Allow"))
		}
	}
	if r := c.Get("/v2/auth"); r.Status != 404 {
		t.Errorf("/v2/auth: %d", r.Status)
	}
	for _, what := range []string{"may still read and write all keys", "a user was deleted\" name=root by=anybody", "a role was deleted\" name=r1 by=root"} {
		if log := s.log.Take(); !strings.Contains(log, what) {
			t.Errorf("the log lacks %q: %s", what, log)
		} else {
			_, _ = s.log.Write([]byte(log))
		}
	}
}
