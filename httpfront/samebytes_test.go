package httpfront_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/listen"
)

var dates = regexp.MustCompile(`\r\nDate: [^\r]*`)

// serving returns a server that has its poller.
func serving(t testing.TB) *fronttest.Server {
	s := serveOn(t, fronttest.Socket(t))
	s.Answers(t, []byte(fronttest.RawRequest("GET", "/version", "")))
	return s
}

// The same bytes get the same answers, whether requests are served directly or by fasthttp, and
// nothing stays behind.
func FuzzBothWays(f *testing.F) {
	for _, test := range hostile {
		f.Add([]byte(test.sent))
	}
	for _, test := range framing {
		f.Add([]byte(strings.Replace(test.request, "%s", "/v1/keys/a", 1)))
	}
	for _, seed := range []string{
		fronttest.RawRequest("POST", "/v1/keys/a", "value=1") + fronttest.RawRequest("POST", "/v1/keys/a", "prevValue=1&value=2&ttl=5") + fronttest.RawRequest("GET", "/v1/keys/?quorum=false", ""),
		fronttest.RawRequest("PUT", "/v1/keys/a/b", "value=1") + fronttest.RawRequest("DELETE", "/v1/keys/a", "") + fronttest.RawRequest("GET", "/v1/get/a", ""),
		fronttest.RawRequest("GET", "/v1/watch/a?index=1", "") + fronttest.RawRequest("GET", "/panics/not", ""),
		"GET /v1/keys/a HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nAccept: text/plain\r\nSec-Fetch-Site: cross-site\r\nAuthorization: Basic YTpi\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	directly := serving(f)
	undo := httpfront.UsePoller(listen.Peeks{}) // with which nothing arrives whole
	otherwise := serving(f)
	undo()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Contains(raw, []byte("/panics")) {
			return // they log, as they should
		}
		a, b := dates.ReplaceAll(directly.Answers(t, raw), nil), dates.ReplaceAll(otherwise.Answers(t, raw), nil)
		if !bytes.Equal(a, b) {
			t.Errorf("answered directly with\n%q\nand otherwise with\n%q", a, b)
		}
		for _, s := range []*fronttest.Server{directly, otherwise} {
			for deadline := time.Now().Add(fronttest.Timeout); s.Open() > 0 || s.Machine.Watchers() > 0 || s.BodyBytes() > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d connections, %d watchers and %d bytes of bodies stay", s.Open(), s.Machine.Watchers(), s.BodyBytes())
				}
			}
			if log := s.Log.Take(); log != "" {
				t.Errorf("logged:\n%s", log)
			}
		}
	})
}
