package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKeepAlive checks that a connection serves many requests, one after the
// other and pipelined, in order.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.dial()
	for i := range 20 {
		answer, err := c.roundTrip(post("/v1/keys/a", "value", strconv.Itoa(i)))
		if err != nil || answer.status != 200 {
			t.Fatalf("request %d: %v %v", i, answer, err)
		}
	}
	var requests []request
	for i := range 50 {
		requests = append(requests, post("/v1/keys/p", "value", strconv.Itoa(i)), get("/v1/keys/p"))
	}
	if err := c.send(requests...); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(waitLimit))
	for i, q := range requests {
		answer, err := c.receive(q.method)
		if err != nil {
			t.Fatalf("pipelined answer %d: %v", i, err)
		}
		if e, err := answer.event(); err != nil || e.Value != strconv.Itoa(i/2) {
			t.Fatalf("pipelined answer %d: %s %v", i, answer.body, err)
		}
	}
}

// TestConnectionClose checks that a client that does not want keep-alive
// sees its connection closed.
func TestConnectionClose(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.dial()
	q := get("/version")
	q.header = [][2]string{{"Connection", "close"}}
	if answer, err := c.roundTrip(q); err != nil || answer.status != 200 {
		t.Fatalf("%v %v", answer, err)
	}
	c.SetReadDeadline(time.Now().Add(waitLimit))
	if _, err := c.in.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection is not closed: %v", err)
	}
}

// TestWatchKeepsConnection checks that a connection can be used after a watch,
// also for requests that were pipelined while the watch was waiting.
func TestWatchKeepsConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.dial()
	if err := c.send(get("/v1/watch/foo"), get("/v1/keys/foo"), get("/v1/watch/bar"), get("/v1/keys/bar")); err != nil {
		t.Fatal(err)
	}
	s.waitWatchers(1)
	set := s.do(post("/v1/keys/foo", "value", "1"))
	c.SetReadDeadline(time.Now().Add(waitLimit))
	want := []string{set.body, `{"action":"GET","key":"/foo","value":"1","index":3}`}
	for i, body := range want {
		answer, err := c.receive("GET")
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		checkReply(t, "pipelined behind a watch", answer, 200, body)
	}
	s.waitWatchers(1)
	s.do(post("/v1/keys/bar", "value", "2"))
	want = []string{
		`{"action":"SET","key":"/bar","value":"2","newKey":true,"index":4}`,
		`{"action":"GET","key":"/bar","value":"2","index":4}`,
	}
	for i, body := range want {
		answer, err := c.receive("GET")
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		checkReply(t, "second watch on the connection", answer, 200, body)
	}
	answer, err := c.roundTrip(post("/v1/keys/foo", "value", "3"))
	if err != nil {
		t.Fatal(err)
	}
	checkReply(t, "after two watches", answer, 200,
		`{"action":"SET","key":"/foo","prevValue":"1","value":"3","index":5}`)
}

// TestWatcherLeaves checks that a watch ends when its client disconnects.
func TestWatcherLeaves(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, q := range []request{get("/v1/watch/foo"), post("/v1/watch/foo", "index", "1000")} {
		b := s.background(q)
		s.waitWatchers(1)
		b.conn.Close()
		<-b.answer
		s.waitWatchers(0)
	}
}

// TestManyWatches checks that of a thousand idle watches a write answers
// exactly those that match.
func TestManyWatches(t *testing.T) {
	t.Parallel()
	const idle = 1000
	s := startServer(t)
	open := make([]*background, idle)
	for i := range open {
		open[i] = s.background(get(fmt.Sprintf("/v1/watch/many/%d", i)))
	}
	concerned := []*background{
		open[idle/2],
		s.background(get("/v1/watch/many")),
		s.background(get("/v1/watch/")),
		s.background(get(fmt.Sprintf("/v1/watch/many/%d", idle/2))),
	}
	s.waitWatchers(idle + 3)
	set := s.do(post(fmt.Sprintf("/v1/keys/many/%d", idle/2), "value", "x"))
	for _, b := range concerned {
		checkReply(t, "watch that the write concerns", b.wait(t), 200, set.body)
	}
	s.waitWatchers(idle - 1)
	for i, b := range open {
		if i != idle/2 && len(b.answer) > 0 {
			t.Fatalf("watch %d was answered", i)
		}
	}
}

// TestHead checks that HEAD answers as GET does, without the body.
func TestHead(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do(post("/v1/keys/a", "value", "x"))
	c := s.dial()
	for _, target := range []string{"/v1/keys/a", "/v1/keys/nosuch", "/v1/keys/", "/"} {
		full := s.do(get(target))
		head, err := c.roundTrip(request{method: "HEAD", target: target})
		if err != nil {
			t.Fatalf("HEAD %s: %v", target, err)
		}
		if head.status != full.status || head.body != "" ||
			head.header.Get("Content-Length") != strconv.Itoa(len(full.body)) ||
			head.header.Get("Content-Type") != full.header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d %v, GET: %d %v", target, head.status, head.header, full.status, full.header)
		}
	}
}

// TestFormPrecedence checks whether the fields of a set are taken from the body or the query.
func TestFormPrecedence(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	multipartOf := func(target string, form ...string) request {
		contentType, body := encodeMultipart(form...)
		return request{method: "POST", target: target, header: [][2]string{{"Content-Type", contentType}}, body: body}
	}
	put := func(q request) request {
		q.method = "PUT"
		return q
	}
	tests := []struct {
		name  string
		q     request
		value string
		code  int
	}{
		{"body", post("/v1/keys/k", "value", "a"), "a", 0},
		{"PUT", put(post("/v1/keys/k", "value", "b")), "b", 0},
		{"query", post("/v1/keys/k?value=c"), "c", 0},
		{"body before query", post("/v1/keys/k?value=no", "value", "d"), "d", 0},
		{"first in the body", post("/v1/keys/k", "value", "e", "value", "no"), "e", 0},
		{"first in the query", post("/v1/keys/k?value=f&value=no"), "f", 0},
		{"fields from both", post("/v1/keys/k?prevValue=f", "value", "g"), "g", 0},
		{"multipart", multipartOf("/v1/keys/k", "value", "h"), "h", 0},
		{"multipart before query", multipartOf("/v1/keys/k?value=no", "value", "i", "value", "no"), "i", 0},
		{"multipart with all fields", multipartOf("/v1/keys/k", "value", "j", "prevValue", "i", "ttl", "100"), "j", 0},
		{"names are case sensitive", post("/v1/keys/k", "Value", "no"), "", 200},
		{"unknown names", post("/v1/keys/k", "value", "k", "colour", "red"), "k", 0},
		{"no value", post("/v1/keys/k"), "", 200},
		{"empty value", post("/v1/keys/k", "value", ""), "", 200},
		{"empty value in the body before the query", post("/v1/keys/k?value=no", "value", ""), "", 200},
		{"value before ttl", post("/v1/keys/k", "ttl", "x"), "", 200},
		{"bad ttl", post("/v1/keys/k", "value", "no", "ttl", "x"), "", 202},
		{"bytes as they are", post("/v1/keys/k", "value", "a+b %c&d=e\n\x01ü"), "a+b %c&d=e\n\x01ü", 0},
	}
	for _, test := range tests {
		e := s.event(test.q)
		if e.Value != test.value || e.ErrorCode != test.code {
			t.Errorf("%s: %+v, want value %q, error code %d", test.name, e, test.value, test.code)
		}
	}
}

// TestMalformed checks that malformed HTTP is refused and does no harm.
func TestMalformed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, text := range []string{
		"\r\n\r\n\r\n",
		"NONSENSE\r\n\r\n",
		"GET /v1/keys/a\r\n\r\n",
		"GET /v1/keys/a HTTP/9.9\r\nHost: localhost\r\n\r\n",
		"POST /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"POST /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n",
		"POST /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		c := s.dial()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		c.tcp.CloseWrite()
		c.SetReadDeadline(time.Now().Add(waitLimit))
		answer, err := c.receive("GET")
		if err == nil && (answer.status < 400 || answer.status > 505) {
			t.Errorf("%q is answered with %d %s", text, answer.status, answer.body)
		}
	}
	s.want(get("/v1/keys/a"), 404, `{"errorCode":100,"message":"Key Not Found","cause":"/a"}`)
}

// TestChunkedBody checks that a chunked body is read.
func TestChunkedBody(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.dial()
	fmt.Fprintf(c, "POST /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"5\r\nvalue\r\n4\r\n=bar\r\n0\r\n\r\n", formType)
	c.SetReadDeadline(time.Now().Add(waitLimit))
	answer, err := c.receive("POST")
	if err != nil {
		t.Fatal(err)
	}
	checkReply(t, "chunked", answer, 200, `{"action":"SET","key":"/a","value":"bar","newKey":true,"index":3}`)
}

// TestExpectContinue checks the handshake curl makes before it sends a large
// body.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.dial()
	fmt.Fprintf(c, "POST /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", formType)
	c.SetReadDeadline(time.Now().Add(waitLimit))
	if answer, err := c.receive("POST"); err != nil || answer.status != 100 {
		t.Fatalf("before the body: %v %v", answer, err)
	}
	fmt.Fprint(c, "value=bar")
	answer, err := c.receive("POST")
	if err != nil {
		t.Fatal(err)
	}
	checkReply(t, "after the body", answer, 200, `{"action":"SET","key":"/a","value":"bar","newKey":true,"index":3}`)
}

// TestCORS checks that pages of other origins are allowed if they are listed, and refused
// otherwise.
func TestCORS(t *testing.T) {
	t.Parallel()
	const origin = "http://a.example"
	tests := []struct {
		flag, origin, allowed string
	}{
		{"", origin, ""},
		{origin, origin, origin},
		{origin + ",http://b.example", "http://b.example", "http://b.example"},
		{origin, "http://evil.example", ""},
		{"*", origin, "*"},
	}
	for _, test := range tests {
		var args []string
		if test.flag != "" {
			args = []string{"-cors", test.flag}
		}
		s := startServer(t, args...)
		for _, method := range []string{"GET", "OPTIONS"} {
			answer := s.do(request{method: method, target: "/v1/keys/", header: [][2]string{{"Origin", test.origin}}})
			if got := answer.header.Get("Access-Control-Allow-Origin"); got != test.allowed {
				t.Errorf("-cors %q, %s from %s: allowed origin %q, want %q", test.flag, method, test.origin, got, test.allowed)
			}
			wantStatus := 200
			if test.allowed == "" {
				wantStatus = 403
			}
			if answer.status != wantStatus || answer.header.Get("Vary") != "Origin" {
				t.Errorf("-cors %q, %s: status %d, want %d; %v", test.flag, method, answer.status, wantStatus, answer.header)
			}
		}
	}
}

// TestHostWhitelist checks which Host headers a machine accepts.
func TestHostWhitelist(t *testing.T) {
	t.Parallel()
	ask := func(address, host string) int {
		t.Helper()
		c, err := dial(address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /machines HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		c.SetReadDeadline(time.Now().Add(waitLimit))
		answer, err := c.receive("GET")
		if err != nil {
			t.Fatal(err)
		}
		return answer.status
	}
	for _, test := range []struct {
		name           string
		everywhere     bool // it listens at 0.0.0.0
		args, env      []string
		clients, peers map[string]int
	}{
		{
			"on loopback", false, nil, nil,
			map[string]int{"localhost:4001": 200, "10.1.2.3": 200, "evil.example:4001": 403},
			map[string]int{"localhost:7001": 200, "127.0.0.1": 200, "evil.example:7001": 403},
		},
		{
			"on loopback with more", false, nil, []string{"ETCD_HOST_WHITELIST=a.example,b.example"},
			map[string]int{"a.example": 200, "B.example:80": 200, "c.example": 403}, map[string]int{"a.example": 200, "c.example": 403},
		},
		{"on loopback with all", false, []string{"-host-whitelist", "*"}, nil, map[string]int{"evil.example": 200}, map[string]int{"evil.example": 200}},
		{"everywhere", true, nil, nil, map[string]int{"evil.example": 200}, map[string]int{"evil.example": 200}},
		{
			"everywhere with more", true, []string{"-host-whitelist", "a.example"}, nil,
			map[string]int{"localhost": 200, "10.1.2.3": 200, "a.example": 200, "evil.example": 403}, map[string]int{"evil.example": 200},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.args...)
			if test.everywhere {
				_, clients, _ := net.SplitHostPort(s.client)
				_, peers, _ := net.SplitHostPort(s.peer)
				s.args = append(s.args, "-cl", "0.0.0.0:"+clients, "-sl", "0.0.0.0:"+peers)
			}
			client := s.client
			s.env = test.env
			s.start()
			for _, port := range []struct {
				address string
				hosts   map[string]int
			}{{client, test.clients}, {s.peer, test.peers}} {
				for host, want := range port.hosts {
					if status := ask(port.address, host); status != want {
						t.Errorf("%s as %s: %d, want %d", port.address, host, status, want)
					}
				}
			}
		})
	}
}

// TestLocalRead checks that both spellings of a local read work.
func TestLocalRead(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do(post("/v1/keys/a", "value", "x"))
	for _, query := range []string{"", "?quorum=true", "?quorum=false", "?consistent=false"} {
		s.want(get("/v1/keys/a"+query), 200, `{"action":"GET","key":"/a","value":"x","index":3}`)
	}
}

// TestEndpoints checks the paths that are not about keys.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.want(get("/leader"), 200, s.peer)
	s.want(get("/machines"), 200, s.client)
	s.want(get("/v1/leader"), 200, "http://"+s.peer)
	s.want(get("/v1/machines"), 200, "http://"+s.client)
	s.do(post("/v1/keys/d/a", "value", "x"))
	s.want(get("/v1/get/d/"), 200, `[{"action":"GET","key":"/d/a","value":"x","index":3}]`)
	for _, target := range []string{"/stats", "/v1/stats/store", "/v1/stats/self", "/v1/stats/leader"} {
		answer := s.do(get(target))
		if answer.status != 200 || answer.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(answer.body)) {
			t.Errorf("GET %s: %d %v %s", target, answer.status, answer.header, answer.body)
		}
	}
}
