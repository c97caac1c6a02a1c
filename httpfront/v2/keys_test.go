package v2

import (
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// A key that was set through one API is read through the other, because there is one tree.
func TestBothAPIs(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	c.Set("/a/b", "value=1")
	check(t, c.Get("/v2/keys/a/b"), 200, `{"action":"get","node":{"key":"/a/b","value":"1","modifiedIndex":3,"createdIndex":3}}`)
	check(t, c.Do("PUT", "/v2/keys/a/c", "value=2&ttl=5"), 201,
		`{"action":"set","node":{"key":"/a/c","value":"2","expiration":"2026-01-02T03:04:10.000000006Z","ttl":5,"modifiedIndex":4,"createdIndex":4}}`)
	fronttest.Check(t, c.Get("/v1/keys/a/c"), 200, `{"action":"GET","key":"/a/c","value":"2","expiration":"2026-01-02T03:04:10.000000006Z","ttl":4,"index":4}`)
}

// check compares an answer, which ends in a newline.
func check(t *testing.T, got fronttest.Reply, status int, body string) {
	t.Helper()
	fronttest.Check(t, got, status, body+"\n")
}

// The files of the members are for v1; what others keep beside them is not.
func TestMembersAreHidden(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	missing := func(cause string, index string) string {
		return `{"errorCode":100,"message":"Key not found","cause":"` + cause + `","index":` + index + `}`
	}
	for _, key := range []string{"/_etcd", "/_etcd/machines", "/_etcd/machines/m1"} {
		check(t, c.Get("/v2/keys"+key), 404, missing("/_etcd", "1"))
	}
	check(t, c.Do("PUT", "/v2/keys/_etcd/registry/x", "value=1"), 201, `{"action":"set","node":{"key":"/_etcd/registry/x","value":"1","modifiedIndex":3,"createdIndex":3}}`)
	check(t, c.Get("/v2/keys/_etcd"), 200, `{"action":"get","node":{"key":"/_etcd","dir":true,"nodes":[{"key":"/_etcd/registry","dir":true,"modifiedIndex":3,"createdIndex":3}],"modifiedIndex":1,"createdIndex":1}}`)
	check(t, c.Get("/v2/keys/_etcd/machines/m1"), 404, missing("/_etcd/machines", "3"))
	for _, request := range [][2]string{{"PUT", "/_etcd?dir=true&prevExist=true&ttl=1"}, {"PUT", "/_etcd/machines/m2"}, {"DELETE", "/_etcd?recursive=true"}, {"POST", "/_etcd/machines"}} {
		if r := c.Do(request[0], "/v2/keys"+request[1], ""); r.Status != 400 || !strings.Contains(r.Body, `"errorCode":107`) {
			t.Errorf("%v: %d %s", request, r.Status, r.Body)
		}
	}
}

// A large directory is rendered from a view, and looks like a small one.
func TestLargeDirectories(t *testing.T) {
	s := serve(t, func(c *httpfront.Config) { c.MaxListing = 2000 })
	c := s.Dial()
	for i := range 300 {
		name := string(rune('a'+i/26/26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
		for _, dir := range []string{"/large", "/small"} {
			if dir == "/small" && i >= 100 {
				continue
			}
			c.Do("PUT", "/v2/keys"+dir+"/"+name+"/x", "value=1")
			c.Do("PUT", "/v2/keys"+dir+"/"+name+"-y", "value=2")
			c.Do("PUT", "/v2/keys"+dir+"/_"+name, "value=hidden")
		}
	}
	for _, query := range []string{"", "?recursive=true"} {
		whole := c.Get("/v2/keys/large" + query)
		if whole.Status != 200 || strings.Contains(whole.Body, "hidden") || !strings.HasSuffix(whole.Body, "}}\n") {
			t.Errorf("%s: %d %.300s", query, whole.Status, whole.Body)
		}
		part := c.Get("/v2/keys/small" + query)
		if got, want := shape(whole.Body, 100), shape(part.Body, 100); got != want {
			t.Errorf("%s: a large directory begins with\n%.500s\nand a small one with\n%.500s", query, got, want)
		}
	}
}

// shape is a listing up to so many values, without what differs between two directories.
func shape(body string, values int) string {
	parts := strings.SplitAfterN(body, `"value":`, values)
	var b strings.Builder
	for _, part := range parts[:len(parts)-1] {
		for field := range strings.SplitSeq(part, ",") {
			if !strings.Contains(field, "Index") {
				b.WriteString(strings.ReplaceAll(strings.ReplaceAll(field, "/large", "/d"), "/small", "/d") + "\n")
			}
		}
	}
	return b.String()
}

// A node whose time is over is not there, although it was not removed yet.
func TestOverButNotRemoved(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	c.Do("PUT", "/v2/keys/d/t", "value=1&ttl=3")
	c.Do("PUT", "/v2/keys/d/u", "value=1")
	if r := c.Get("/v2/keys/d/t"); !strings.Contains(r.Body, `"ttl":3`) {
		t.Errorf("%s", r.Body)
	}
	s.Clock.Add(2500 * time.Millisecond)
	if r := c.Get("/v2/keys/d/t"); !strings.Contains(r.Body, `"ttl":1`) {
		t.Errorf("half a second before its end: %s", r.Body)
	}
	s.Clock.Add(500 * time.Millisecond)
	for _, target := range []string{"/v2/keys/d?recursive=true", "/v2/keys/d"} {
		if r := c.Get(target); strings.Contains(r.Body, "/d/t") || !strings.Contains(r.Body, "/d/u") {
			t.Errorf("%s: %s", target, r.Body)
		}
	}
	if r := c.Get("/v2/keys/d/t"); r.Status != 404 {
		t.Errorf("at its end: %d %s", r.Status, r.Body)
	}
}
