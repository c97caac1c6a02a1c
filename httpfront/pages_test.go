package httpfront_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

const foreignPage = `{"errorCode":403,"message":"Forbidden","cause":"pages of other origins may use this machine only if it is started with -cors and theirs, such as -cors http://example.com"}`

// browserRequests are what a browser sends for pages, as headers, and whether the client port
// serves it. The port is http://etcd.example:4001, and -cors permits http://a.example.
var browserRequests = []struct {
	name, method, headers string
	served                bool
}{
	{"no browser", "GET", "Host: etcd.example:4001", true},
	{"no browser changes something", "POST", "Host: etcd.example:4001", true},
	{"somebody types the address", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: none|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document", true},
	{"its own page reads", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: same-origin|Sec-Fetch-Mode: cors|Sec-Fetch-Dest: empty", true},
	{"its own page", "POST", "Host: etcd.example:4001|Origin: http://etcd.example:4001|Sec-Fetch-Site: same-origin", true},
	{"its own page, by an address", "POST", "Host: 10.0.0.1:4001|Origin: http://10.0.0.1:4001", true},
	{"its own page, by an IPv6 address", "POST", "Host: [fe80::1]:4001|Origin: http://[fe80::1]:4001", true},
	{"its own page, by localhost", "POST", "Host: localhost:5001|Origin: http://localhost:5001", true},
	{"its own page, by a name of -host-whitelist", "POST", "Host: www.example|Origin: http://www.example", true},
	{"its own page, behind what changes Host", "POST", "Host: 127.0.0.1:4001|Origin: http://etcd.example:4001", true},
	{"a page of -cors", "POST", "Host: etcd.example:4001|Origin: http://a.example|Sec-Fetch-Site: cross-site", true},

	{"another page", "POST", "Host: etcd.example:4001|Origin: http://evil.example|Sec-Fetch-Site: cross-site", false},
	{"another page reads", "GET", "Host: etcd.example:4001|Origin: http://evil.example|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: cors", false},
	{"another page deletes", "DELETE", "Host: etcd.example:4001|Origin: http://evil.example", false},
	{"another page of an old browser", "PUT", "Host: etcd.example:4001|Origin: http://evil.example", false},
	{"another page, a link is followed", "GET", "Host: etcd.example:4001|Origin: http://evil.example|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document", false},
	{"a page that does not say which", "POST", "Host: etcd.example:4001|Origin: null", false},
	{"a page of -cors over TLS", "POST", "Host: etcd.example:4001|Origin: https://a.example", false},
	{"a page of -cors at another port", "POST", "Host: etcd.example:4001|Origin: http://a.example:8080", false},
	{"a page below one of -cors", "POST", "Host: etcd.example:4001|Origin: http://x.a.example", false},
	{"a page that begins like one of -cors", "POST", "Host: etcd.example:4001|Origin: http://a.example.evil", false},
	{"a page of -cors in capitals", "POST", "Host: etcd.example:4001|Origin: HTTP://A.EXAMPLE", false},
	{"a page of another port", "POST", "Host: etcd.example:4001|Origin: http://etcd.example:8080|Sec-Fetch-Site: same-site", false},
	{"its own page over TLS", "POST", "Host: etcd.example:4001|Origin: https://etcd.example:4001", false},
	{"a page whose name leads here", "POST", "Host: evil.example:4001|Origin: http://evil.example:4001|Sec-Fetch-Site: same-origin", false},
	{"in small letters", "POST", "host: etcd.example:4001|origin: http://evil.example", false},

	{"a link", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document", true},
	{"a link of another port", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: same-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document", true},
	{"a frame", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: iframe", false},
	{"an object", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: object", false},
	{"an image", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: no-cors|Sec-Fetch-Dest: image", false},
	{"an image of another port", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: same-site|Sec-Fetch-Mode: no-cors|Sec-Fetch-Dest: image", false},
	{"a script", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: no-cors|Sec-Fetch-Dest: script", false},
	{"a form without Origin", "POST", "Host: etcd.example:4001|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document", false},
	{"a site of a new kind", "GET", "Host: etcd.example:4001|Sec-Fetch-Site: cross-galaxy", false},
}

func headerLines(headers string) string { return strings.ReplaceAll(headers, "|", "\r\n") + "\r\n" }

// The client port serves all clients other than browsers, and in a browser only permitted pages;
// the peer port serves no pages. A refused request has changed nothing.
func TestPages(t *testing.T) {
	const url = "http://etcd.example:4001"
	edit := func(c *httpfront.Config) {
		c.URL, c.Hosts, c.CORS = url, []string{"www.example"}, []string{"http://a.example"}
	}
	s := serve(t, edit)
	p := servePeerPort(t, s, io.Discard, edit)
	s.Dial().Set("/a", "value=before")
	for _, test := range browserRequests {
		t.Run(test.name, func(t *testing.T) {
			target, body := "/v1/keys/a", ""
			if test.method == "POST" || test.method == "PUT" {
				body = "value=after"
			}
			if test.served { // so that it does not disturb the other cases
				target = "/v1/keys/b"
				s.Dial().Set("/b", "value=before")
			}
			c := s.Dial()
			c.Send("%s %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", test.method, target, headerLines(test.headers), httpfront.TypeForm, len(body), body)
			r := c.Reply(test.method)
			switch {
			case test.served && r.Status != 200:
				t.Errorf("refused: %d %s", r.Status, r.Body)
			case !test.served:
				fronttest.Check(t, r, 403, foreignPage)
				c.WantClosed()
			}
			if r.Header.Get("Vary") != "Origin" {
				t.Errorf("Vary is %q", r.Header["Vary"])
			}

			c = p.Dial()
			c.Send("%s /machines HTTP/1.1\r\n%s\r\n", test.method, headerLines(test.headers))
			r = c.Reply(test.method)
			browser := strings.Contains(strings.ToLower(test.headers), "origin:") || strings.Contains(test.headers, "Sec-Fetch-Site:") && !strings.Contains(test.headers, "none")
			if browser {
				fronttest.Check(t, r, 403, `{"errorCode":403,"message":"Forbidden","cause":"this port is for the other machines of the cluster, and not for web pages"}`)
				c.WantClosed()
			} else if r.Status == 403 {
				t.Errorf("the peer port: %d %s", r.Status, r.Body)
			}
		})
	}
	if r := s.Dial().Get("/v1/keys/a"); !strings.Contains(r.Body, `"value":"before"`) {
		t.Errorf("a page that was refused has changed a key: %s", r.Body)
	}
}

// A page is refused whatever it requests.
func TestPagesAnywhere(t *testing.T) { inAllModes(t, testPagesAnywhere) }

func testPagesAnywhere(t *testing.T, serve server) {
	s := serve(t)
	mode := func(*httpfront.Config) {}
	if s.TLS != nil {
		mode = fronttest.WithTLS
	}
	p := servePeerPort(t, s, io.Discard, mode)
	for port, routes := range map[*fronttest.Server][]httpfront.Route{s: clientRoutes(s.Clock), p: peerRoutes()} {
		for _, route := range append(routes, httpfront.Route{Path: "/nowhere"}, httpfront.Route{Path: "/%zz"}) {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
				c := port.Dial()
				c.Send("%s %s HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n", method, route.Path)
				if reads := method == "GET" || method == "HEAD" || method == "OPTIONS"; reads && route.ForeignReads && port == s {
					if r := c.Reply(method); r.Status == 403 || r.Header.Get("Access-Control-Allow-Origin") != "" {
						t.Errorf("%s %s, which may be asked for and not read: %d %v", method, route.Path, r.Status, r.Header)
					}
					continue
				}
				if r := c.Reply(method); r.Status != 403 || !r.Close || method != "HEAD" && !strings.HasPrefix(r.Body, `{"errorCode":403,`) {
					t.Errorf("%s %s: %d %s", method, route.Path, r.Status, r.Body)
				}
			}
		}
	}
	if n := s.Machine.Watchers(); n != 0 {
		t.Errorf("there are %d watchers", n)
	}
	c := s.Dial()
	c.Send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n")
	fronttest.Check(t, c.Reply("POST"), 403, foreignPage)
	c.WantClosed()
}

// A page that -cors permits can read every answer, errors included, and its preflight requests
// are answered at every path.
func TestCrossOrigin(t *testing.T) {
	const origin = "http://a.example"
	for _, test := range []struct {
		name    string
		allowed []string
		origin  string
		want    string
	}{
		{"off, no origin", nil, "", ""},
		{"all", []string{"*"}, origin, "*"},
		{"all, and one that does not say which it is", []string{"*"}, "null", "*"},
		{"all, no origin", []string{"*"}, "", "*"},
		{"all and one", []string{origin, "*"}, origin, origin},
		{"listed", []string{"http://b.example", origin}, origin, origin},
		{"no origin", []string{origin}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, func(c *httpfront.Config) { c.CORS = test.allowed })
			c := s.Dial()
			head := " HTTP/1.1\r\nHost: x\r\n"
			if test.origin != "" {
				head += "Origin: " + test.origin + "\r\nSec-Fetch-Site: cross-site\r\n"
			}
			c.Set("/a", "value=1")
			see := func(what string, r fronttest.Reply) {
				t.Helper()
				if got := r.Header.Get("Access-Control-Allow-Origin"); got != test.want {
					t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", what, got, test.want)
				}
				if vary := r.Header["Vary"]; len(vary) != 1 || vary[0] != "Origin" {
					t.Errorf("%s: Vary %q", what, vary)
				}
				if test.want != "" && r.Header.Get("Access-Control-Allow-Methods") != "POST, GET, OPTIONS, PUT, DELETE" {
					t.Errorf("%s: %v", what, r.Header)
				}
			}
			for _, line := range []string{"GET /", "GET /v1/keys/none", "GET /nowhere", "GET /v1/watch/a?quorum=x", "POST /v1/watch/a?index=3", "PATCH /v1/keys/a"} {
				c.Send("%s", line+head+"\r\n")
				see(line, c.Reply("GET"))
			}
			for _, target := range []string{"/v1/keys/a", "/v1/watch/a", "/", "/nowhere", "/%zz"} {
				c.Send("%s", "OPTIONS "+target+head+"Access-Control-Request-Method: PUT\r\n\r\n")
				r := c.Reply("OPTIONS")
				see("OPTIONS "+target, r)
				if test.allowed != nil && (r.Status != 200 || r.Body != "") {
					t.Errorf("OPTIONS %s: %d %s", target, r.Status, r.Body)
				}
			}
			for name, request := range map[string]string{
				"too long a body":  "POST /v1/keys/a" + head + "Content-Length: 1000000\r\n\r\nvalue=",
				"asks first":       "POST /v1/keys/a" + head + "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
				"too long a line":  "GET /" + strings.Repeat("a", 9000) + head + "\r\n",
				"ambiguous":        "POST /v1/keys/a" + head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
				"nothing of a key": "POST /v1/keys/a" + head + "Content-Length: 0\r\n\r\n",
			} {
				c := s.Dial()
				c.Send("%s", request)
				see(name, c.Reply("POST"))
			}
		})
	}
}

// The answers to invalid requests and to connections that are one too many vary by origin, too.
func TestVary(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.MaxConnections = 1 })
	c := s.Dial()
	c.Get("/")
	crowded := fronttest.NewClient(t, dialRaw(t, s.Addr))
	if r := crowded.Reply("GET"); r.Status != 503 || r.Header.Get("Vary") != "Origin" {
		t.Errorf("one too many: %d %v", r.Status, r.Header)
	}
	c.Send("what is this\r\n\r\n")
	if r := c.Reply("GET"); r.Status != 400 || r.Header.Get("Vary") != "Origin" {
		t.Errorf("no request: %d %v", r.Status, r.Header)
	}
	if log := s.Log.Take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "too many connections") {
		t.Errorf("logged:\n%s", log)
	}
}

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// If names are checked, a name is not one of the machine's just because it resolves to it.
func TestHostHeader(t *testing.T) {
	for _, test := range []struct {
		name   string
		edit   func(*httpfront.Config)
		served []string
		wrong  []string
	}{
		{
			"its own", func(c *httpfront.Config) { c.CheckHost, c.URL = true, "http://etcd.example:4001" },
			[]string{
				"localhost", "localhost:4001", "LocalHost:5001", "localhost.:4001", "127.0.0.1:4001", "127.0.0.2", "10.0.0.1:80", "0.0.0.0:4001",
				"[::1]:4001", "[::1]", "[fe80::1%25eth0]:4001", "etcd.example:4001", "etcd.example", "ETCD.example.:1",
			},
			[]string{
				"evil.example:4001", "evil.example", "x.localhost:4001", "localhost.evil.example", "x.etcd.example:4001", "127.0.0.1.evil.example:4001",
				"etcd.example.evil.example", "1.2.3", "1.2.3.4.5:4001", "www.example", "*", ":4001",
			},
		},
		{
			"more", func(c *httpfront.Config) {
				c.CheckHost, c.URL, c.Hosts = true, "http://10.0.0.1:4001", []string{"WWW.example", "b.example"}
			},
			[]string{"localhost", "10.0.0.1:4001", "10.0.0.2", "www.example:80", "B.example"},
			[]string{"evil.example", "a.www.example"},
		},
		{
			"all", func(c *httpfront.Config) { c.CheckHost, c.URL, c.Hosts = true, "http://10.0.0.1:4001", []string{"*"} },
			[]string{"localhost", "evil.example:4001", "*"}, nil,
		},
		{"not looked at", func(c *httpfront.Config) { c.URL = "http://10.0.0.1:4001" }, []string{"evil.example:4001"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.edit)
			p := servePeerPort(t, s, io.Discard, test.edit)
			for _, port := range []*fronttest.Server{s, p} {
				wrong := `{"errorCode":403,"message":"Forbidden","cause":"the name in Host is not one of this machine: use localhost, an IP address, or the host of ` +
					config([]func(*httpfront.Config){test.edit}).URL + `, or start it with -host-whitelist and that name"}`
				for _, host := range test.served {
					c := port.Dial()
					c.Send("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
					fronttest.Check(t, c.Reply("GET"), 200, "etcd v9")
				}
				for _, host := range test.wrong {
					for _, line := range []string{"GET /", "GET /v1/keys/", "POST /join"} {
						c := port.Dial()
						c.Send("%s HTTP/1.1\r\nHost: %s\r\n\r\n", line, host)
						fronttest.Check(t, c.Reply("GET"), http.StatusForbidden, wrong)
						c.WantClosed()
					}
				}
			}
		})
	}
	s := serve(t, func(c *httpfront.Config) { c.CheckHost, c.URL = true, "http://etcd.example:4001" })
	const wrong = `{"errorCode":403,"message":"Forbidden","cause":"the name in Host is not one of this machine: use localhost, an IP address, or the host of http://etcd.example:4001, or start it with -host-whitelist and that name"}`
	for request, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n": "etcd v9",
		"GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\n\r\n":             "etcd v9",
		"GET http://evil.example:4001/ HTTP/1.1\r\nHost: localhost\r\n\r\n":        wrong,
		"GET http://localhost@evil.example:1/ HTTP/1.1\r\nHost: localhost\r\n\r\n": `{"errorCode":400,"message":"Bad Request","cause":"the request cannot be read: there is a user in the target"}`,
		"GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n":                  `{"errorCode":404,"message":"Not Found","cause":"/evil.example"}`,
		"GET //localhost/ HTTP/1.1\r\nHost: evil.example\r\n\r\n":                  wrong,
	} {
		c := s.Dial()
		c.Send("%s", request)
		if r := c.Reply("GET"); r.Body != want {
			t.Errorf("%q: %d %s, want %s", request, r.Status, r.Body, want)
		}
	}
}
