package v1

import (
	"slices"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// What a client asks of a watch and is not understood is an error, and never ignored.
func TestBadWatches(t *testing.T) {
	s := serve(t, Config{})
	c := s.Dial()
	const (
		field   = `{"errorCode":209,"message":"Invalid field","cause":"`
		index   = `{"errorCode":203,"message":"The given index in POST form is not a number","cause":"`
		timeout = field + `timeout is a number of seconds, more than 0 and at most 86400"}`
	)
	many := "/v1/watch/a?stream=true" + strings.Repeat("&key=/b", 100)
	for _, test := range []struct{ target, header, body string }{
		{"/v1/watch/a?stream=yes", "", field + `invalid value for \"stream\""}`},
		{"/v1/watch/a?stream=", "", field + `invalid value for \"stream\""}`},
		{"/v1/watch/a?stream=true&index=x", "", index + `Watch From Index"}`},
		{"/v1/watch/a?stream=true", "Last-Event-ID: x", index + `Last-Event-ID"}`},
		{"/v1/watch/a?stream=true", "Last-Event-ID: -1", index + `Last-Event-ID"}`},
		{"/v1/watch/a?stream=true", "Last-Event-ID: 18446744073709551615", index + `Last-Event-ID"}`},
		{"/v1/watch/a?index=-1", "Accept: text/event-stream", index + `Watch From Index"}`},
		{"/v1/watch/a?key=/b", "", field + `several keys need stream=true"}`},
		{"/v1/watch/a?stream=true&key=", "", field + `key is empty; the root is /"}`},
		{"/v1/watch/a?stream=true&key=%ff", "", field + `key: the path is not valid UTF-8"}`},
		{"/v1/watch/a?stream=true&key=a%00", "", field + `key: the path contains NUL"}`},
		{many, "", `{"errorCode":210,"message":"Invalid POST form","cause":"more than 100 fields"}`},
		{"/v1/watch/a?stream=true&timeout=1", "", field + `a stream has no timeout; its heartbeats show that it is alive"}`},
		{"/v1/watch/a?timeout=", "", timeout},
		{"/v1/watch/a?timeout=0", "", timeout},
		{"/v1/watch/a?timeout=-1", "", timeout},
		{"/v1/watch/a?timeout=1s", "", timeout},
		{"/v1/watch/a?timeout=1e3", "", timeout},
		{"/v1/watch/a?timeout=inf", "", timeout},
		{"/v1/watch/a?timeout=1.2.3", "", timeout},
		{"/v1/watch/a?timeout=86400.1", "", timeout},
		{"/v1/watch/a?stream=true&quorum=x", "", field + `invalid value for \"quorum\""}`},
	} {
		if test.header != "" {
			test.header += "\r\n"
		}
		c.Send("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", test.target, test.header)
		r := c.Reply("GET")
		if r.Status != 400 || r.Body != test.body {
			t.Errorf("%s (%s)\ngot  %d %s\nwant 400 %s", test.target, test.header, r.Status, r.Body, test.body)
		}
	}
	fronttest.Check(t, c.Do("POST", "/v1/watch/a", "index=1&stream=true"), 400, field+`a stream is a GET"}`)
	if n := s.Machine.Watchers(); n != 0 {
		t.Errorf("%d watchers", n)
	}
}

// A stream has no more watches than it needs.
func TestKeysOfAStream(t *testing.T) {
	for _, test := range []struct{ sent, want []string }{
		{[]string{"/a"}, []string{"/a"}},
		{[]string{"/a", "/a"}, []string{"/a"}},
		{[]string{"/a", "/ab", "/b"}, []string{"/a", "/ab", "/b"}},
		{[]string{"/a/b", "/c", "/a/d", "/a", "/a/e"}, []string{"/c", "/a"}},
		{[]string{"/a", "/b/c", "/"}, []string{"/"}},
		{[]string{"/", "/a"}, []string{"/"}},
	} {
		var keys []string
		for _, key := range test.sent {
			keys = addKey(keys, key)
		}
		if !slices.Equal(keys, test.want) {
			t.Errorf("of %q it watches %q, want %q", test.sent, keys, test.want)
		}
	}
}

// Streams are asked for by stream, or by Accept, and stream is the stronger.
func TestAskingForAStream(t *testing.T) {
	s := serve(t, Config{})
	writer := s.Dial()
	writer.Set("/a", "value=1")
	for _, test := range []struct{ query, accept, contentType string }{
		{"", "", "application/json"},
		{"", "Accept: text/event-stream\r\n", "text/event-stream"},
		{"&stream=true", "", typeLines},
		{"&stream=1", "Accept: text/event-stream\r\n", "text/event-stream"},
		{"&stream=false", "Accept: text/event-stream\r\n", "application/json"},
		{"&stream=true", "Accept: application/json, */*\r\n", typeLines},
	} {
		c := s.Dial()
		c.Send("GET /v1/watch/a?index=3%s HTTP/1.1\r\nHost: x\r\n%s\r\n", test.query, test.accept)
		var contentType string
		for line := "-"; line != "\r\n"; {
			var err error
			if line, err = c.In.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if value, ok := strings.CutPrefix(line, "Content-Type: "); ok {
				contentType = strings.TrimSpace(value)
			}
		}
		if contentType != test.contentType {
			t.Errorf("%s, %q: %s, want %s", test.query, test.accept, contentType, test.contentType)
		}
		_ = c.Close()
	}
	s.WaitForWatchers(0)
}
