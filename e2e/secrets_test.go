package e2e

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// secrets are what a client has sent and nobody else may learn from a machine, in all forms in which it went over the wire.
type secrets []string

// basic is an Authorization header, which is a secret like the password in it.
func (s *secrets) basic(user, password string) [2]string {
	credentials := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	*s = append(*s, password, credentials)
	return [2]string{"Authorization", "Basic " + credentials}
}

// checkAbsent fails the test for secrets in a text.
func (s *secrets) checkAbsent(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range *s {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s has %s: ...%q...", where, secret, text[max(0, at-200):min(len(text), at+100)])
		}
	}
}

// TestSecretsStayIn lets a machine log and tell all that it can while clients write values and show
// passwords, in requests that succeed, fail, are malformed or break off, and looks for them wherever
// somebody else reads.
func TestSecretsStayIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, "-vv", "-log-format", "json", "-slow", "1ns", "--bcrypt-cost", "4", "--listen-metrics-urls", freeport.Address(t), "--enable-pprof")
	s.launch()
	waitUntil(t, "it serves", func() bool { return strings.Contains(s.proc.stderr(), `"msg":"ready to serve client requests"`) })
	all := secrets{"value-s3cr3t", "query-s3cr3t", "header-s3cr3t", "broken-s3cr3t"}
	root, wrong, al := all.basic("root", "root-s3cr3t"), all.basic("root", "wrong-s3cr3t"), all.basic("al", "al-s3cr3t")
	with := func(r request, header [2]string) request {
		r.header = append([][2]string{header}, r.header...)
		return r
	}
	kind, multipart := encodeMultipart("value", "value-s3cr3t", "prevExist", "neither")
	for _, want := range []struct {
		status int
		request
	}{ // of slow requests the first 20 are logged at once
		{200, put("/v1/keys/a", "value", "value-s3cr3t")},
		{200, put("/v1/keys/a", "prevValue", "value-s3cr3t", "value", "value-s3cr3t")},
		{400, put("/v1/keys/a", "prevValue", "broken-s3cr3t", "value", "value-s3cr3t")},
		{200, put("/v2/keys/a?value=query-s3cr3t&prevValue=value-s3cr3t")},
		{412, put("/v2/keys/a?value=query-s3cr3t&prevValue=value-s3cr3t")},
		{400, put("/v2/keys/a?value=query-s3cr3t%zz")},
		{400, put("/v2/keys/a", "value", "value-s3cr3t", "ttl", "broken-s3cr3t")},
		{400, request{method: "PUT", target: "/v2/keys/a", header: [][2]string{{"Content-Type", kind}}, body: multipart}},
		{400, request{method: "PUT", target: "/v2/keys/a", header: [][2]string{{"Content-Type", kind}}, body: []byte("value=broken-s3cr3t")}},
		{404, put("/nothing?value=query-s3cr3t", "value", "value-s3cr3t")},
		{400, auth("users/root", `{"user":"root","password":"root-s3cr3t"`)},
		{201, auth("users/root", `{"user":"root","password":"root-s3cr3t"}`)},
		{201, auth("users/al", `{"user":"al","password":"al-s3cr3t"}`)},
		{200, auth("enable", "")},
		{401, with(auth("users/al", `{"user":"al","password":"broken-s3cr3t"}`), wrong)},
		{200, with(get("/v2/auth/users"), root)},
		{401, with(get("/v2/auth/users"), al)},
		{401, with(get("/v2/auth/users"), [2]string{"Authorization", "Bearer header-s3cr3t"})},
	} {
		if got := s.do(want.request); got.status != want.status {
			t.Errorf("%s %s: %d %s, want %d", want.method, want.target, got.status, got.body, want.status)
		}
	}
	for _, address := range []string{s.client, s.peer} {
		for _, text := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\n" + root[0] + ": " + root[1] + "\x01\r\n\r\n",
			"PUT /v2/keys/a?value=query-s3cr3t HTTP/9.9\r\nHost: a\r\n\r\n",
			"PUT /v2/keys/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nvalue=broken-s3cr3t",
			"value=broken-s3cr3t\r\n\r\n",
			"POST /join HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n\"broken-s3cr3t\"",
		} {
			c, err := dial(address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			c.tcp.CloseWrite()
			c.SetReadDeadline(time.Now().Add(waitLimit))
			for err == nil { // until the machine is done with it
				_, err = c.in.ReadByte()
			}
			c.Close()
		}
	}

	admin := s.args[len(s.args)-2]
	for _, target := range []string{"/metrics", "/readyz?verbose", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1"} {
		answer, err := exchange(admin, get(target))
		if err != nil || answer.status != http.StatusOK {
			t.Fatalf("%s: %d %v", target, answer.status, err)
		}
		all.checkAbsent(t, target, answer.body)
	}
	for _, target := range []string{"/v2/stats/self", "/v2/stats/store", "/v2/keys/a/b", "/v2/auth/users/al"} {
		all.checkAbsent(t, target, s.do(get(target)).body)
	}
	s.proc.signal(syscall.SIGQUIT)
	s.proc.waitExit(stopLimit)
	log := s.proc.stderr()
	all.checkAbsent(t, "the log", log)
	for _, part := range []string{`"msg":"a request was slow","method":"PUT","path":"/v2/keys/a","status":412`, `"level":"DEBUG"`, `"name":"al"`, "goroutine "} {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %s, so that this test sees nothing", part)
		}
	}
}

// TestSecretsOfTheOperator: the password of a discovery service or its proxy is shown neither when they
// refuse or do not answer, nor when the settings are wrong.
func TestSecretsOfTheOperator(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	token := "http://al:service-s3cr3t@" + service.Listener.Addr().String() + "/token"
	proxy := "http://al:proxy-s3cr3t@" + freeport.Address(t)
	all := secrets{"s3cr3t", base64.StdEncoding.EncodeToString([]byte("al:proxy-s3cr3t")), base64.StdEncoding.EncodeToString([]byte("al:service-s3cr3t"))}

	s := newServer(t, "-discovery", token, "-discovery-proxy", proxy, "-vv")
	s.today = true
	s.env = []string{"ETCD_UNKNOWN=" + proxy}
	s.launch()
	waitUntil(t, "it asks the proxy", func() bool { return strings.Contains(s.proc.stderr(), "cannot be reached; retrying") })
	s.kill()
	all.checkAbsent(t, "the log", s.proc.stderr())
	s.args = []string{"-discovery", token, "-vv"}
	s.launch()
	if code := s.proc.waitExit(startLimit); code != 1 || !strings.Contains(s.proc.stderr(), "as no discovery service does") {
		t.Errorf("exit code %d", code)
	}
	all.checkAbsent(t, "the log", s.proc.stderr())

	file := filepath.Join(t.TempDir(), "etcd.yaml")
	for text, says := range map[string]string{
		"discovery: " + token + "\n\tname: a\n":                  "--config-file",
		"discovery: " + token + "/new\n":                         "is the URL that makes tokens",
		"discovery: " + token + "?a\n":                           "must be the URL of a token",
		"discovery: " + token + "\ndiscovery-proxy: ftp" + proxy: "must be the URL of an HTTP proxy",
		"discovery: {" + token + ": a}\n":                        "want one value",
		"name: a\ndiscovery: " + token + "\ndiscovery: " + token: "twice",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := run(t, nil, "--config-file", file)
		if code == 0 || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit code %d, %s", text, code, stderr)
		}
		all.checkAbsent(t, "the end of "+says, stdout+stderr)
	}
}
