package v1

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// A value is bytes: it is stored, compared and, for clients that ask for that, answered as such.
func TestBytes(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	value := "\x00\xffa\xc3\x28\r\n<b>\xed\xa0\x80"
	sent := url.QueryEscape(value)
	asking := func(target, accept string) fronttest.Reply {
		t.Helper()
		c.Send("GET %s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n", target, accept)
		return c.Reply("GET")
	}
	c.Set("/a", "value="+sent)
	for _, target := range []string{"/v1/keys/a", "/v1/get/a", "/v1/keys/a?quorum=false"} {
		for _, accept := range []string{"text/plain", "application/octet-stream"} {
			if r := asking(target, accept); r.Status != 200 || r.Body != value || r.Header.Get("Content-Type") != accept || r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s as %s: %d %q %v", target, accept, r.Status, r.Body, r.Header)
			}
		}
	}
	fronttest.Check(t, asking("/v1/keys/a", "*/*"), 200, `{"action":"GET","key":"/a","value":"\u0000\ufffda\ufffd(\r\n\u003cb\u003e\ufffd\ufffd\ufffd","index":3}`)
	fronttest.Check(t, asking("/v1/keys/", "text/plain"), 200, fmt.Sprintf(`[{"action":"GET","key":"/_etcd","dir":true,"index":3},{"action":"GET","key":"/a","value":"%s","index":3}]`,
		`\u0000\ufffda\ufffd(\r\n\u003cb\u003e\ufffd\ufffd\ufffd`))
	fronttest.Check(t, asking("/v1/keys/none", "application/octet-stream"), 404, `{"errorCode":100,"message":"Key Not Found","cause":"/none"}`)

	// What it looks like in JSON is another value.
	other := strings.ToValidUTF8(value, "\ufffd")
	if r := c.Do("POST", "/v1/keys/a", "value=1&prevValue="+url.QueryEscape(other)); r.Status != 400 || !strings.HasPrefix(r.Body, `{"errorCode":101,`) {
		t.Errorf("compared with another value: %d %s", r.Status, r.Body)
	}
	c.Set("/a", "value=1&prevValue="+sent)
	if r := asking("/v1/keys/a", "text/plain"); r.Body != "1" {
		t.Errorf("after the set: %q", r.Body)
	}
}
