package v2

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
)

// begin sends a watch and returns its answer, of which the header has come.
func begin(t *testing.T, c *fronttest.Client, target string, headers ...string) *http.Response {
	t.Helper()
	c.Send("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, strings.Join(headers, ""))
	resp, err := http.ReadResponse(c.In, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// rest returns what follows in an answer, up to its end.
func rest(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	return string(body)
}

// The headers of a watch come before its event, and a client may take them for the word that no later
// event is missed. Its connection serves the next request.
func TestWatchHasItsHeadersEarly(t *testing.T) {
	s := serve(t)
	writer, c := s.Dial(), s.Dial()
	for i, value := range []string{"1", strings.Repeat("x", 30_000), "3"} {
		target := "/v2/keys/a?wait=true"
		if i == 2 { // not served directly
			target += "&x=" + strings.Repeat("y", 5000)
		}
		resp := begin(t, c, target)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("X-Etcd-Index") == "" || resp.ContentLength != -1 {
			t.Fatalf("%d: %d %v", i, resp.StatusCode, resp.Header)
		}
		for _, name := range []string{"X-Raft-Index", "X-Raft-Term", "X-Etcd-Cluster-Id"} {
			if resp.Header.Get(name) == "" {
				t.Errorf("no %s", name)
			}
		}
		writer.Do("PUT", "/v2/keys/b", "value=1")
		set := writer.Do("PUT", "/v2/keys/a", "value="+value)
		if body := rest(t, resp); body != set.Body {
			t.Errorf("%d: the watch has %.100q, and the write %.100q", i, body, set.Body)
		}
	}
	if r := c.Get("/v2/keys/b"); r.Status != 200 {
		t.Errorf("the next request: %d %s", r.Status, r.Body)
	}
}

// A stream has each event once, from the history and then as they come.
func TestStream(t *testing.T) {
	s := serve(t)
	writer, c := s.Dial(), s.Dial()
	var want strings.Builder
	write := func(method, target, body string) {
		want.WriteString(writer.Do(method, target, body).Body)
	}
	write("PUT", "/v2/keys/d/a", "value=1")
	write("DELETE", "/v2/keys/d/a", "")
	resp := begin(t, c, "/v2/keys/d?wait=true&recursive=true&stream=true&waitIndex=1")
	write("PUT", "/v2/keys/d/b", "value=2")
	write("DELETE", "/v2/keys/d?recursive=true", "")
	lines := bufio.NewReader(resp.Body)
	for line := range strings.Lines(want.String()) {
		if got, err := lines.ReadString('\n'); err != nil || got != line {
			t.Fatalf("the stream has %q, %v; want %q", got, err, line)
		}
	}
	_ = c.Close()
	s.WaitForWatchers(0)
}

// A watch that a stop ends is cut off, so that nobody takes its empty body for an answer.
func TestStopCutsWatchesOff(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	resp := begin(t, c, "/v2/keys/a?wait=true")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil || len(body) > 0 {
		t.Errorf("%q, %v", body, err)
	}
}

// With a timeout the whole answer comes at the end.
func TestWatchTimeout(t *testing.T) {
	s := serve(t)
	writer, c := s.Dial(), s.Dial()
	writer.Do("PUT", "/v2/keys/b", "value=1")
	if r := c.Get("/v2/keys/a?wait=true&timeout=0.01"); r.Status != 204 || r.Header.Get("X-Etcd-Index") != "3" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	c.Send("GET /v2/keys/a?wait=true&timeout=60 HTTP/1.1\r\nHost: x\r\n\r\n")
	s.WaitForWatchers(1)
	set := writer.Do("PUT", "/v2/keys/a", "value=1")
	check(t, c.Reply("GET"), 200, strings.TrimSuffix(set.Body, "\n"))
	for _, bad := range []string{"0", "-1", "x", "1e3", "90000"} {
		if r := c.Get("/v2/keys/a?wait=true&timeout=" + bad); r.Status != 400 || !strings.Contains(r.Body, `"errorCode":209`) {
			t.Errorf("timeout=%s: %d %s", bad, r.Status, r.Body)
		}
	}
}

// Server-sent events have the events in JSON, and go on after the last one that the client has seen.
func TestServerSentEvents(t *testing.T) {
	s := serve(t)
	writer, c := s.Dial(), s.Dial()
	writer.Do("PUT", "/v2/keys/a", "value=1")
	set := writer.Do("PUT", "/v2/keys/a", "value=2")
	resp := begin(t, c, "/v2/keys/a?wait=true", "Accept: text/event-stream\r\n", "Last-Event-ID: 3\r\n")
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("%s", got)
	}
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if data != set.Body {
				t.Errorf("%q, want %q", data, set.Body)
			}
			break
		}
	}
	_ = c.Close()
	s.WaitForWatchers(0)
}
