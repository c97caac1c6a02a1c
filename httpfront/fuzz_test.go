package httpfront_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"etcd/endpoint"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/store"
)

// checkAnswers returns what is wrong with the bytes that a server has sent on a connection.
// heads: some of the requests may be HEADs, whose answers have no bodies.
func checkAnswers(sent []byte, heads bool) error {
	in := bufio.NewReader(bytes.NewReader(sent))
	for n := 0; ; n++ {
		if _, err := in.Peek(1); err == io.EOF {
			return nil
		}
		r, err := fronttest.ReadReply(in, "GET")
		if heads && r.Status != 0 {
			return nil // it is unknown where the next one begins
		}
		if err != nil {
			return fmt.Errorf("answer %d: %w", n, err)
		}
		if r.Status == 100 {
			continue
		}
		switch contentType := r.Header.Get("Content-Type"); {
		case r.Status < 200 || r.Status > 599:
			return fmt.Errorf("answer %d: status %d", n, r.Status)
		case contentType == httpfront.TypeJSON && !json.Valid([]byte(r.Body)):
			return fmt.Errorf("answer %d: no JSON: %q", n, r.Body)
		case contentType == httpfront.TypeText && !utf8.ValidString(r.Body):
			return fmt.Errorf("answer %d: no UTF-8: %q", n, r.Body)
		case contentType == "" && r.Body == "": // of OPTIONS
		case contentType != httpfront.TypeJSON && contentType != httpfront.TypeText:
			return fmt.Errorf("answer %d: content type %q", n, contentType)
		}
	}
}

// fuzzHeap is more memory, in bytes, than a machine takes for what a fuzzer can set.
const fuzzHeap = 512 << 20

// Whatever a client sends on a connection, it gets back well-formed answers and then EOF, no
// watcher is left behind, nothing panics, and the next client is served.
func FuzzRequest(f *testing.F) {
	form := "Content-Type: " + httpfront.TypeForm + "\r\n"
	for _, seed := range []string{
		fronttest.RawRequest("GET", "/v1/keys/a", ""),
		fronttest.RawRequest("POST", "/v1/keys/a", "value=1&ttl=5") + fronttest.RawRequest("GET", "/v1/get/", ""),
		fronttest.RawRequest("DELETE", "//v1/keys/%2e./a%00", ""),
		fronttest.RawRequest("GET", "/v1/watch/a", "") + fronttest.RawRequest("POST", "/v1/keys/a", "value=2"),
		fronttest.RawRequest("POST", "/v1/watch/?index=1", "") + fronttest.RawRequest("GET", "/", ""),
		fronttest.RawRequest("HEAD", "/v1/keys/", ""),
		fronttest.RawRequest("OPTIONS", "*", ""),
		fronttest.RawRequest("CONNECT", "host:1", ""),
		fronttest.RawRequest("GET", "http://[::1/v1/keys", ""),
		"POST /v1/keys/a HTTP/1.1\r\nHost: x\r\n" + form + "Transfer-Encoding: chunked\r\n\r\n7\r\nvalue=3\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"POST /v1/keys/a HTTP/1.1\r\nHost: x\r\n" + form + "Expect: 100-continue\r\nContent-Length: 7\r\n\r\nvalue=4",
		"POST /v1/keys/a HTTP/1.1\r\nHost: x\r\n" + form + "Content-Length: 700000\r\n\r\nvalue=4",
		"POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: 200\r\n\r\n" + "--XX\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\nv\r\n--XX--\r\n",
		"GET /v1/keys/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX:\x00\r\n y\r\n\r\n",
		"GET /v1/watch/a HTTP/1.0\r\n\r\nGET",
		fronttest.RawRequest("GET", "/v1/watch/a", "") + strings.Repeat("x", httpfront.MaxReadAhead+1),
		"\r\n\r\nGET / HTTP/9.9\n\n", "GET", "", "\x16\x03\x01\x02\x00", strings.Repeat("a", 4000),
	} {
		f.Add([]byte(seed))
	}
	for _, test := range framing {
		f.Add([]byte(strings.Replace(test.request, "%s", "/v1/keys/a", 1)))
	}
	s := serveOn(f, fronttest.Socket(f), func(c *httpfront.Config) { c.CORS = []string{"*"} })
	healthy := func(t *testing.T) {
		if got := string(s.Answers(t, []byte("GET / HTTP/1.0\r\n\r\n"))); !strings.HasSuffix(got, "\r\n\r\netcd v9") {
			t.Fatalf("the next client is answered %q", got)
		}
	}
	runs := 0
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := s.Answers(t, raw)
		if err := checkAnswers(got, bytes.Contains(raw, []byte("HEAD"))); err != nil {
			t.Errorf("%v\nin %q", err, got)
		}
		healthy(t)
		for deadline := time.Now().Add(fronttest.Timeout); s.Machine.Watchers() > 0 || s.BodyBytes() > 0 || s.Open() > 0; healthy(t) {
			if time.Now().After(deadline) {
				t.Fatalf("%d watchers, %d bytes of bodies and %d connections stay", s.Machine.Watchers(), s.BodyBytes(), s.Open())
			}
		}
		if runs++; runs%1000 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > fuzzHeap {
				t.Errorf("%d bytes of memory are in use", m.HeapAlloc)
			}
		}
		if log := s.Log.Take(); log != "" {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// Whatever is sent to the peer port, well-formed answers come back and then EOF, the
// members stay the same unless a valid request to join was sent, and the next machine is
// served.
func FuzzPeerPort(f *testing.F) {
	handshake := "Host: x\r\nConnection: Upgrade\r\nUpgrade: etcd-raft\r\nX-Etcd-Protocol: 4\r\nX-Etcd-Commands: " + store.Commands.String() + "\r\nX-Etcd-Snapshots: " + store.Snapshots.String() + "\r\nX-Etcd-Cluster-Id: 4d\r\nX-Etcd-To: b\r\n"
	asks := func(body string) string {
		return fmt.Sprintf("POST /join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for _, seed := range []string{
		"GET /raft/stream HTTP/1.1\r\n" + handshake + "X-Etcd-From: 16\r\nX-Etcd-Class: control\r\nX-Etcd-Nonce: 1\r\nX-Etcd-Reach: 1-1-1-1\r\n\r\n",
		"GET /raft/stream HTTP/1.1\r\n" + handshake + "X-Etcd-From: b\r\nX-Etcd-Class: bulk\r\nX-Etcd-Peer-Address: a:1\r\nX-Etcd-Nonce: 1\r\n\r\n",
		"POST /raft/snapshot HTTP/1.1\r\n" + handshake + "X-Etcd-From: 16\r\nX-Etcd-Class: snapshot\r\nX-Etcd-Nonce: 1\r\nContent-Length: 0\r\n\r\n",
		"GET /raft/member HTTP/1.1\r\n" + handshake + "\r\n", "GET /hash HTTP/1.1\r\nHost: x\r\n\r\n", "GET /machines HTTP/1.0\r\n\r\n",
		asks(`{"memberId":"22","name":"m2","peerUrl":"http://127.0.0.1:7002","clientUrl":"http://127.0.0.1:4002","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`),
		asks(`{"memberId":"22","name":"a/b","peerUrl":"http://[fe80::1%25\r\nX: y]:7002","clientUrl":"http://evil:4001,127.0.0.1:14001","understood":{"protocol":"4","commands":"1-6","snapshots":"1-3"}}`),
		asks(`{"memberId":22}`), asks(`[]`), asks(`{"memberId":"-1","name":"\u001b[2J"}`), asks(strings.Repeat("[", 1000)),
	} {
		f.Add([]byte(seed))
	}
	s := serveOn(f, fronttest.Socket(f))
	p := s.ServePeerPort(fronttest.Socket(f), io.Discard, config(nil), peerRoutes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := p.Answers(t, raw)
		if !bytes.Contains(got, []byte("HTTP/1.1 101 ")) { // then come frames
			if err := checkAnswers(got, bytes.Contains(raw, []byte("HEAD"))); err != nil {
				t.Errorf("%v\nin %q", err, got)
			}
		}
		if got := p.Answers(t, []byte("GET / HTTP/1.0\r\n\r\n")); !bytes.Contains(got, []byte(" 200 ")) {
			t.Fatalf("the next one is answered %q", got)
		}
		s.T = t
		for _, m := range s.Status().Members {
			if err := endpoint.CheckMember(m.Name, m.PeerURL, m.ClientURL); err != nil {
				t.Errorf("a member was taken in that should not have been: %v", err)
			}
		}
	})
}
