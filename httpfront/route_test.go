package httpfront

import (
	"fmt"
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	s := serve(t)
	c := s.dial()
	for _, test := range []struct {
		method, target, allow string // allow: of a 405, "" for a 404
	}{
		{"GET", "/nothing", ""},
		{"GET", "/v1", ""},
		{"GET", "/v1/keysx/a", ""},
		{"GET", "/v1/stats", ""},
		{"GET", "/leader/x", ""},
		{"GET", "/v2/keys/a", ""},
		{"PATCH", "/nothing", ""},
		{"PATCH", "/v1/keys/a", "DELETE, GET, HEAD, POST, PUT"},
		{"OPTIONS", "/v1/keys/a", "DELETE, GET, HEAD, POST, PUT"},
		{"get", "/v1/keys/a", "DELETE, GET, HEAD, POST, PUT"},
		{"POST", "/v1/get/a", "GET, HEAD"},
		{"DELETE", "/v1/watch/a", "GET, POST"},
		{"HEAD", "/v1/watch/a", "GET, POST"},
		{"POST", "/leader", "GET, HEAD"},
		{"PUT", "/machines", "GET, HEAD"},
		{"POST", "/v1/leader", "GET, HEAD"},
		{"POST", "/v1/machines", "GET, HEAD"},
		{"DELETE", "/stats", "GET, HEAD"},
		{"POST", "/v1/stats/store", "GET, HEAD"},
		{"POST", "/v1/stats/self", "GET, HEAD"},
		{"POST", "/v1/stats/leader", "GET, HEAD"},
		{"POST", "/version", "GET, HEAD"},
		{"POST", "/", "GET, HEAD"},
	} {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			r := c.do(test.method, test.target, "")
			status, want := 404, fmt.Sprintf(`{"errorCode":404,"message":"Not Found","cause":%q}`, test.target)
			if test.allow != "" {
				status, want = 405, fmt.Sprintf(`{"errorCode":405,"message":"Method Not Allowed","cause":%q}`, test.method)
			}
			if test.method == "HEAD" {
				want = ""
				r.header.Set("Content-Type", typeText) // looked at elsewhere
			}
			check(t, r, status, want)
			if allow := r.header.Get("Allow"); allow != test.allow {
				t.Errorf("Allow %q, want %q", allow, test.allow)
			}
		})
	}
}

// Targets that a URL parser would take apart in another way.
func TestOddTargets(t *testing.T) {
	s := serve(t)
	c := s.dial()
	c.set("/a/b", "value=1")
	want := `{"action":"GET","key":"/a/b","value":"1","index":3}`
	for _, target := range []string{
		"//v1//keys/a/b", "/v1/keys/a%2Fb", "/v1/x/../keys/./a/b", "/v1/keys/a/b/", "http://host/v1/keys/a/b", "http://host:1/v1/keys/a%2fb?x",
		"/v1/keys/a/b?", "/v1/keys/a/b?x?y#z",
	} {
		t.Run(target, func(t *testing.T) { check(t, c.get(target), 200, want) })
	}
}

func TestCrossOrigin(t *testing.T) {
	const origin = "http://a.example"
	for _, test := range []struct {
		name    string
		allowed []string
		origin  string
		want    string
	}{
		{"off", nil, origin, ""},
		{"all", []string{"*"}, origin, "*"},
		{"all, no origin", []string{"*"}, "", "*"},
		{"listed", []string{"http://b.example", origin}, origin, origin},
		{"not listed", []string{"http://b.example"}, origin, ""},
		{"no origin", []string{origin}, "", ""},
		{"another case", []string{origin}, strings.ToUpper(origin), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, func(c *Config) { c.CORS = test.allowed })
			c := s.dial()
			head := " HTTP/1.1\r\nHost: x\r\n"
			if test.origin != "" {
				head += "Origin: " + test.origin + "\r\n"
			}
			c.set("/a", "value=1")
			for _, line := range []string{"GET /version", "GET /v1/keys/none", "GET /nowhere", "GET /v1/watch/a?quorum=x", "POST /v1/watch/a?index=3"} {
				c.send("%s", line+head+"\r\n")
				r := c.reply("GET")
				if got := r.header.Get("Access-Control-Allow-Origin"); got != test.want {
					t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", line, got, test.want)
				}
				if test.want != "" && (r.header.Get("Vary") != "Origin" || r.header.Get("Access-Control-Allow-Methods") != "POST, GET, OPTIONS, PUT, DELETE") {
					t.Errorf("%s: %v", line, r.header)
				}
			}
			c.send("%s", "OPTIONS /v1/keys/a"+head+"\r\n")
			status := 405
			if test.allowed != nil {
				status = 200
			}
			if r := c.reply("OPTIONS"); r.status != status || r.header.Get("Access-Control-Allow-Origin") != test.want {
				t.Errorf("preflight: %d %v, want %d", r.status, r.header, status)
			}
		})
	}
}
