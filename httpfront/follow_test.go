package httpfront_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// follower reads a stream.
type follower struct {
	*fronttest.Client
	header http.Header
	body   *bufio.Reader
}

// follow asks for a stream, in lines unless headers say otherwise, and reads the header of the answer.
func follow(c *fronttest.Client, target string, headers ...string) *follower {
	c.T.Helper()
	c.Send("GET %s HTTP/1.1\r\n%s\r\n\r\n", target, strings.Join(append(headers, "Host: x"), "\r\n"))
	return began(c)
}

func began(c *fronttest.Client) *follower {
	c.T.Helper()
	resp, err := http.ReadResponse(c.In, &http.Request{Method: "GET"})
	if err != nil {
		c.T.Fatal(err)
	}
	if resp.StatusCode != 200 {
		body, _ := io.ReadAll(resp.Body)
		c.T.Fatalf("%d %s", resp.StatusCode, body)
	}
	return &follower{c, resp.Header, bufio.NewReader(resp.Body)}
}

// line returns the next line.
func (f *follower) line() string {
	f.T.Helper()
	line, err := f.body.ReadString('\n')
	if err != nil {
		f.T.Fatalf("after %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// want fails the test unless these lines are next.
func (f *follower) want(lines ...string) {
	f.T.Helper()
	for _, want := range lines {
		if got := f.line(); got != want {
			f.T.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// wantEnd fails the test unless the stream ends here, in good order.
func (f *follower) wantEnd() {
	f.T.Helper()
	if rest, err := io.ReadAll(f.body); err != nil || len(rest) > 0 {
		f.T.Fatalf("the stream goes on with %q, %v; want its end", rest, err)
	}
}

// block returns the next server-sent event, or comment, without the empty line at its end.
func (f *follower) block() string {
	f.T.Helper()
	var lines []string
	for {
		line := f.line()
		if line == "" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, line)
	}
}

// newest is the index of the newest event of a fresh machine: it was added to its cluster.
const newest = 1

func heartbeat(index int) string { return fmt.Sprintf(`{"heartbeat":%d}`, index) }

// A stream begins with the index after which it has everything, and has each event as the write was
// answered.
func TestFollow(t *testing.T) { inAllModes(t, testFollow) }

func testFollow(t *testing.T, serve server) {
	s := serve(t)
	writer := s.Dial()
	first := writer.Set("/a/1", "value=1")
	f := follow(s.Dial(), "/v1/watch/a?stream=true")
	for name, want := range map[string]string{"Content-Type": "application/x-ndjson", "Cache-Control": "no-store", "X-Etcd-Index": "3", "Vary": "Origin"} {
		if got := f.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f.want(heartbeat(3))
	writer.Set("/b", "value=1")
	second := writer.Set("/a/1", "value=2")
	f.want(second)
	third := writer.Set("/a/3", "value=%3C%0A%C3%BC")
	f.want(third)

	// From an index: what was, and what comes.
	f = follow(s.Dial(), "/v1/watch/a?stream=true&index=3")
	f.want(heartbeat(2), first, second, third)
	fourth := writer.Set("/a/1", "value=4")
	f.want(fourth)

	// From an index to come.
	f = follow(s.Dial(), "/v1/watch/a?stream=true&index=9")
	f.want(heartbeat(8))
	writer.Set("/a/1", "value=8")
	f.want(writer.Set("/a/1", "value=9"))
}

// Server-sent events carry their index, so that a client which has lost its connection goes on with
// the event after the last that it has seen.
func TestServerSentEvents(t *testing.T) { inAllModes(t, testServerSentEvents) }

func testServerSentEvents(t *testing.T, serve server) {
	s := serve(t)
	writer := s.Dial()
	event := func(index int, body string) string { return fmt.Sprintf("id: %d\ndata: %s", index, body) }
	c := s.Dial()
	f := follow(c, "/v1/watch/a", "Accept: text/event-stream")
	if got := f.header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	if got := f.block(); got != "retry: 1000\n: heartbeat\nid: 1" {
		t.Fatalf("it begins with %q", got)
	}
	first := writer.Set("/a", "value=1")
	if got := f.block(); got != event(3, first) {
		t.Fatalf("%q", got)
	}
	_ = c.Close()
	second := writer.Set("/a", "value=2")
	third := writer.Set("/a", "value=3")
	f = follow(s.Dial(), "/v1/watch/a?index=1", "Accept: text/event-stream", "Last-Event-ID: 3")
	if got := f.block(); got != "retry: 1000\n: heartbeat\nid: 3" {
		t.Fatalf("it begins with %q", got)
	}
	for i, want := range []string{event(4, second), event(5, third)} {
		if got := f.block(); got != want {
			t.Fatalf("event %d: %q", i, got)
		}
	}
}

// Several keys take one connection, and each event comes once, however many of them it is for.
func TestFollowSeveralKeys(t *testing.T) { inAllModes(t, testFollowSeveralKeys) }

func testFollowSeveralKeys(t *testing.T, serve server) {
	s := serve(t)
	writer := s.Dial()
	f := follow(s.Dial(), "/v1/watch/a?stream=true&key=b//c/&key=%2Fa%2Fbelow&key=/d")
	f.want(heartbeat(newest))
	s.WaitForWatchers(3)
	var want []string
	for _, key := range []string{"/a/below", "/b", "/b/c/x", "/a", "/c", "/d", "/b/c"} {
		body := writer.Set(key+"/key", "value=1")
		if key != "/b" && key != "/c" {
			want = append(want, body)
		}
	}
	f.want(want...)
	f = follow(s.Dial(), "/v1/watch/a/b/c?stream=true&key=/&key=/x&index=3")
	f.want(heartbeat(2))
	s.WaitForWatchers(4)
	for index := 3; index < 10; index++ {
		if line := f.line(); !strings.HasSuffix(line, fmt.Sprintf(`"index":%d}`, index)) {
			t.Fatalf("%s, want index %d", line, index)
		}
	}
}

// While nothing happens a stream says that it is alive, and up to which index there was nothing.
func TestHeartbeats(t *testing.T) {
	defer httpfront.UseStreamTimes(20*time.Millisecond, time.Minute)()
	inAllModes(t, func(t *testing.T, serve server) {
		s := serve(t)
		writer := s.Dial()
		f := follow(s.Dial(), "/v1/watch/a?stream=true")
		sse := follow(s.Dial(), "/v1/watch/a", "Accept: text/event-stream")
		sse.block()
		for range 4 {
			f.want(heartbeat(newest))
			if got := sse.block(); got != ": heartbeat\nid: 1" {
				t.Fatalf("%q", got)
			}
		}
		writer.Set("/b", "value=1")
		for f.line() != heartbeat(3) {
		}
		event := writer.Set("/a", "value=1")
		line := f.line()
		for line == heartbeat(3) {
			line = f.line()
		}
		if line != event {
			t.Fatalf("got %s, want %s", line, event)
		}
		f.want(heartbeat(4), heartbeat(4))
	})
}

// A reader that is too slow for the history is told where to look and to go on, and has got
// everything before that.
func TestFollowTooSlowly(t *testing.T) { inAllModes(t, testFollowTooSlowly) }

func testFollowTooSlowly(t *testing.T, serve server) {
	s := serve(t)
	writer := s.Dial()
	c := s.Dial()
	f := follow(c, "/v1/watch/a?stream=true")
	f.want(heartbeat(newest))
	large := "value=" + strings.Repeat("x", 60<<10)
	for range 1100 { // more than the history and the buffers of a socket hold
		writer.Set("/a", large)
	}
	var last struct{ Index int }
	if err := json.Unmarshal([]byte(writer.Set("/a", "value=1")), &last); err != nil {
		t.Fatal(err)
	}
	next := 3
	for {
		line := f.line()
		var got struct{ ErrorCode, Index int }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%.100s: %v", line, err)
		}
		if got.ErrorCode == 0 {
			if got.Index != next {
				t.Fatalf("event %d, want %d", got.Index, next)
			}
			next++
			continue
		}
		if got.ErrorCode != 401 || got.Index < next || got.Index > last.Index {
			t.Fatalf("after event %d: %s", next-1, line)
		}
		next = got.Index + 1
		break
	}
	f.wantEnd()
	s.WaitForWatchers(0)
	// Its connection can be used again.
	f = follow(c, fmt.Sprintf("/v1/watch/a?stream=true&index=%d", next))
	f.want(heartbeat(next - 1))
	for index := next; index <= last.Index; index++ {
		f.line()
	}
	f.want(writer.Set("/a", "value=2"))
}

// A stream from an index that the history no longer has is an error; but one of server-sent events
// begins, so that a browser comes back and goes on, and is told.
func TestFollowFromTooLongAgo(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	for range 1010 {
		c.Set("/a", "value=1")
	}
	const cause = `"cause":"the requested history has been cleared [13/5]"`
	const message = `{"errorCode":401,"message":"The event in requested index is outdated and cleared",` + cause
	fronttest.Check(t, c.Get("/v1/watch/a?stream=true&index=5"), 400, message+`,"index":1012}`)
	f := follow(c, "/v1/watch/a", "Accept: text/event-stream", "Last-Event-ID: 4")
	if got := f.header.Get("X-Etcd-Index"); got != "1012" {
		t.Errorf("X-Etcd-Index: %s", got)
	}
	if got, want := f.block(), "id: 1012\nretry: 1000\nevent: gone\ndata: "+message+`,"index":1012}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f.wantEnd()
	fronttest.Check(t, c.Get("/"), 200, "etcd v9")
}
