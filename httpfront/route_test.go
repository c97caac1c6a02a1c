package httpfront_test

import (
	"fmt"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

func TestRoutes(t *testing.T) {
	s := serve(t)
	c := s.Dial()
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
		{"POST", "/", "GET, HEAD"},
		{"POST", "/", "GET, HEAD"},
	} {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			r := c.Do(test.method, test.target, "")
			status, want := 404, fmt.Sprintf(`{"errorCode":404,"message":"Not Found","cause":%q}`, test.target)
			if test.allow != "" {
				status, want = 405, fmt.Sprintf(`{"errorCode":405,"message":"Method Not Allowed","cause":%q}`, test.method)
			}
			if test.method == "HEAD" {
				want = ""
				r.Header.Set("Content-Type", httpfront.TypeText) // looked at elsewhere
			}
			fronttest.Check(t, r, status, want)
			if allow := r.Header.Get("Allow"); allow != test.allow {
				t.Errorf("Allow %q, want %q", allow, test.allow)
			}
		})
	}
}

// Request targets that a URL parser would split in another way.
func TestOddTargets(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	c.Set("/a/b", "value=1")
	want := `{"action":"GET","key":"/a/b","value":"1","index":3}`
	for _, target := range []string{
		"//v1//keys/a/b", "/v1/keys/a%2Fb", "/v1/x/../keys/./a/b", "/v1/keys/a/b/", "http://host/v1/keys/a/b", "http://host:1/v1/keys/a%2fb?x",
		"/v1/keys/a/b?", "/v1/keys/a/b?x?y#z",
	} {
		t.Run(target, func(t *testing.T) { fronttest.Check(t, c.Get(target), 200, want) })
	}
}
