package httpfront_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// Nothing that a client sends, wherever, becomes a header of an answer, and control characters
// that a terminal would obey are escaped wherever an answer repeats them.
func TestNothingIsReflected(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.CORS = []string{"http://good.example"} })
	p := servePeerPort(t, s, io.Discard)
	const mark = "mArk"
	const key = "%0d%0aX-" + mark + ":%20" + mark + "%1b[2J%0d%0a%0d%0a" + mark
	marked := "Origin: http://" + mark + ".example\r\nX-" + mark + ": " + mark + "\r\nAccept: text/" + mark + "\r\nAccept-Encoding: " + mark +
		"\r\nReferer: " + mark + "\r\nCookie: " + mark + "=" + mark + "\r\nX-Forwarded-Host: " + mark + "\r\nX-Request-Id: " + mark +
		"\r\nAccess-Control-Request-Headers: " + mark + "\r\nAccess-Control-Request-Method: " + mark + "\r\nRange: bytes=" + mark +
		"\r\nUpgrade: " + mark + "\r\nX-Etcd-Protocol: " + mark + "\r\nX-Etcd-From: " + mark + "\r\nX-Etcd-Cluster-Id: " + mark + "\r\nX-Etcd-Class: " + mark + "\r\n"
	for _, port := range []struct {
		name   string
		server *fronttest.Server
		routes []httpfront.Route
	}{{"clients", s, clientRoutes(s.Clock)}, {"peers", p, peerRoutes()}} {
		paths := []string{"/" + key, "//" + key, "/v1/keys/_etcd/" + key, "/v1/watch/" + key + "?index=" + key, "/v1/keys/a?ttl=" + key, "*", "http://" + mark + "/" + key, "/%zz" + mark}
		for _, r := range port.routes {
			paths = append(paths, r.Path, r.Path+"?"+key+"="+key)
			if r.Tree && r.Path != "/v1/watch" {
				paths = append(paths, r.Path+"/"+key)
			}
		}
		for _, path := range paths {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", mark} {
				for name, rest := range map[string]string{
					"a form":      "Content-Type: " + httpfront.TypeForm + "\r\nContent-Length: %d\r\n\r\nvalue=" + key,
					"JSON":        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" + `{"memberId":"9","name":"` + mark + `\r\n","peerUrl":"` + mark + `\r\n"}`,
					"an odd type": "Content-Type: " + mark + "/" + mark + "\r\nContent-Length: %d\r\n\r\n" + mark,
				} {
					if strings.HasPrefix(path, "/v1/watch") && !strings.Contains(path, "index="+key) && (method == "GET" || method == "POST") {
						continue // the watch would wait
					}
					head, body, _ := strings.Cut(rest, "\r\n\r\n")
					c := port.server.Dial()
					c.Send("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s\r\n\r\n%s", method, path, mark, marked, fmt.Sprintf(head, len(body)), body)
					r := c.Reply(method)
					_ = c.Close()
					what := fmt.Sprintf("%s: %s %s with %s: %d", port.name, method, path, name, r.Status)
					for header, values := range r.Header {
						if all := header + ": " + strings.Join(values, ", "); strings.Contains(strings.ToLower(all), strings.ToLower(mark)) {
							t.Errorf("%s: header %q", what, all)
						}
					}
					if strings.ContainsFunc(r.Body, func(r rune) bool { return !unicode.IsPrint(r) }) {
						t.Errorf("%s: %q", what, r.Body)
					}
				}
			}
		}
	}
	c := s.Dial()
	c.Set("/"+key, "value=1")
	want := `"key":"/\r\nX-mArk: mArk\u001b[2J\r\n\r\nmArk"`
	for _, path := range []string{"/v1/keys/" + key, "/v1/keys/", "/v1/watch/" + key + "?index=3"} {
		if r := c.Get(path); r.Status != 200 || !strings.Contains(r.Body, want) {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	fronttest.Check(t, c.Get("/v1/keys/none/"+key), 404, `{"errorCode":100,"message":"Key Not Found","cause":"/none/\r\nX-mArk: mArk\u001b[2J\r\n\r\nmArk"}`)
	if members := s.Status().Members; len(members) != 1 {
		t.Errorf("%+v", members)
	}
}
