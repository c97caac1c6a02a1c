package httpfront_test

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// framing lists requests for which two parsers may disagree where they end. %s stands for the
// path; each would set the key if it were accepted. The status is 400 if there is none.
var framing = []struct {
	name, request string
	status        int
}{
	{"length and chunked", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunked and length", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"length in small letters and chunked", "POST %s HTTP/1.1\r\nHost: x\r\ncontent-length: 7\r\ntransfer-encoding: Chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"length 0 and chunked", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"length and identity", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nTransfer-Encoding: identity\r\n\r\nvalue=1", 0},
	{"length and chunked in HTTP/1.0", "POST %s HTTP/1.0\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunked in HTTP/1.0", "POST %s HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"a GET with both", "GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
	{"both, and the client asks first", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n", 0},

	{"identity", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\nvalue=1", 0},
	{"gzip, chunked", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunked, identity", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunked twice", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"identity and chunked", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"quoted chunked", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunked behind a vertical tab", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \vchunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"no coding", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\nvalue=1", 0},

	{"two lengths", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\nvalue=1", 0},
	{"the same length twice", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"lengths in one line", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7, 7\r\n\r\nvalue=1", 0},
	{"length with a sign", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: +7\r\n\r\nvalue=1", 0},
	{"negative length", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nvalue=1", 0},
	{"length in hex", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0x7\r\n\r\nvalue=1", 0},
	{"length with a fraction", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7.0\r\n\r\nvalue=1", 0},
	{"length over 64 bits", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551623\r\n\r\nvalue=1", 0},
	{"empty length", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nvalue=1", 0},

	{"folded coding", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nTransfer-Encoding:\r\n chunked\r\n\r\nvalue=1", 0},
	{"folded length", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 7\r\n\r\nvalue=1", 0},
	{"folded line", "POST %s HTTP/1.1\r\nHost: x\r\nX: a\r\n\tContent-Length: 7\r\n\r\nvalue=1", 0},
	{"folded first line", "POST %s HTTP/1.1\r\n Content-Length: 7\r\nHost: x\r\n\r\nvalue=1", 0},
	{"space before the colon", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length : 7\r\n\r\nvalue=1", 0},
	{"tab before the colon", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"space in a name", "POST %s HTTP/1.1\r\nHost: x\r\nContent Length: 7\r\n\r\nvalue=1", 0},
	{"no colon", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length\r\n\r\nvalue=1", 0},
	{"no name", "POST %s HTTP/1.1\r\nHost: x\r\n: 7\r\n\r\nvalue=1", 0},
	{"no host", "POST %s HTTP/1.1\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"empty host", "POST %s HTTP/1.1\r\nHost:\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"host with a space", "POST %s HTTP/1.1\r\nHost: x y\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"two hosts in one line", "POST %s HTTP/1.1\r\nHost: x, y\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"the same host twice", "POST %s HTTP/1.1\r\nHost: x\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"two hosts in HTTP/1.0", "POST %s HTTP/1.0\r\nHost: x\r\nHost: y\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"two hosts", "POST %s HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 7\r\n\r\nvalue=1", 0},

	{"bare LF", "POST %s HTTP/1.1\r\nHost: x\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"bare LF before the end", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\n\r\n\r\nvalue=1", 0},
	{"header that ends in bare LFs", "POST %s HTTP/1.1\r\nHost: x\r\n\nPOST /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", 0},
	{"bare CR", "POST %s HTTP/1.1\r\nHost: x\r\nX: a\rContent-Length: 7\r\n\r\nvalue=1", 0},
	{"bare CR at the end of a line", "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\r\n\r\nvalue=1", 0},
	{"bare CR in the request line", "POST %s\rHTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"NUL in a name", "POST %s HTTP/1.1\r\nHost: x\r\nX\x00: a\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"NUL in the request line", "POST %s\x00 HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"escape in the request line", "POST %s\x1b[2J HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"NUL", "POST %s HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\nContent-Length: 7\r\n\r\nvalue=1", 0},

	{"chunk size with a sign", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size with 0x", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size over 64 bits", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000007\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"no chunk size", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size that ends in a bare LF", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk extension with a bare LF", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7;a\nb\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk longer than its size", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nvalue=12\r\n0\r\n\r\n", 0},
	{"chunk that ends in a bare LF", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\n0\r\n\r\n", 0},
	{"chunk size that is negative", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size over 63 bits", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size of many digits", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 20_000) + "7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size that is none", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nseven\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk size that ends in a bare CR", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\rvalue=1\r\n0\r\n\r\n", 0},
	{"huge chunk extension", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7;" + strings.Repeat("a", 100_000) + "\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunk shorter than its size", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"chunks that end in no empty line", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\nGET / HTTP/1.1\r\n\r\n", 0},
	{"huge trailer", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\nX: " + strings.Repeat("a", 100_000) + "\r\n\r\n", 431},
	{"trailer with a length", "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n7\r\nvalue=1\r\n0\r\nContent-Length: 1\r\n\r\n", 0},

	{"HTTP/2.0", "POST %s HTTP/2.0\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/2.0 and keep-alive", "POST %s HTTP/2.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/2.0, chunked", "POST %s HTTP/2.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", 0},
	{"HTTP/2.0, asks first", "POST %s HTTP/2.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/2.0 without a body", "GET %s HTTP/2.0\r\nHost: x\r\n\r\n", 505},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"HTTP/1.2", "POST %s HTTP/1.2\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/0.9", "POST %s HTTP/0.9\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/3.0", "POST %s HTTP/3.0\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/9.9", "POST %s HTTP/9.9\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 505},
	{"HTTP/3", "POST %s HTTP/3\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"HTTP/1.10", "POST %s HTTP/1.10\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"version in small letters", "POST %s http/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"version of another protocol", "POST %s ICY/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"no version", "POST %s\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"two versions", "POST %s HTTP/1.1 HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"space behind the version", "POST %s HTTP/1.1 \r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"tab before the version", "POST %s\tHTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvalue=1", 0},
	{"no request", "hello\r\nHost: x\r\n\r\n", 0},

	{"expects something else", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 7\r\n\r\n", 417},
	{"expects something besides", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, 200-ok\r\nContent-Length: 7\r\n\r\n", 417},
	{"expects something in another line", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nexpect: x\r\nContent-Length: 7\r\n\r\n", 417},
	{"expects something, first line empty", "POST %s HTTP/1.1\r\nHost: x\r\nExpect:\r\nExpect: 100-continue=1\r\nContent-Length: 7\r\n\r\n", 417},
	{"expects something, without a body", "GET %s HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", 417},
	{"asks first, too long", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n", 413},
	{"asks first in capitals, too long", "POST %s HTTP/1.1\r\nHost: x\r\nEXPECT: 100-Continue\r\nContent-Length: 20000000\r\n\r\n", 413},
	{"asks first twice, too long", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, 100-continue\r\nContent-Length: 20000000\r\n\r\n", 413},
	{"asks first, and its body has begun, too long", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\nvalue=1", 413},
	{"asks first, far too long", "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9223372036854775807\r\n\r\n", 413},
}

// If it is not certain where a request ends, it is refused and its connection closed:
// nothing that follows may be taken for another request.
func TestFraming(t *testing.T) { inAllModes(t, testFraming) }

func testFraming(t *testing.T, serve server) {
	clients := serve(t)
	mode := func(*httpfront.Config) {}
	if clients.TLS != nil {
		mode = fronttest.WithTLS
	}
	peers := servePeerPort(t, clients, io.Discard, mode)
	for _, test := range framing {
		for _, port := range []struct {
			name, path string
			*fronttest.Server
		}{{"clients", "/v1/keys/a", clients}, {"peers", "/join", peers}} {
			t.Run(test.name+"/"+port.name, func(t *testing.T) {
				c := port.Dial()
				head, body, _ := strings.Cut(strings.Replace(test.request, "%s", port.path, 1), "\r\n\r\n")
				c.Send("%s\r\nContent-Type: %s\r\n\r\n%s%s", head, httpfront.TypeForm, body, fronttest.RawRequest("GET", "/", ""))
				r := c.Reply("POST")
				want := cmp.Or(test.status, 400)
				if r.Status != want || !r.Close || !strings.HasPrefix(r.Body, fmt.Sprintf(`{"errorCode":%d,`, want)) {
					t.Errorf("%d %s, close %v", r.Status, r.Body, r.Close)
				}
				c.WantClosed()
			})
		}
	}
	fronttest.Check(t, clients.Dial().Get("/v1/keys/a"), 404, `{"errorCode":100,"message":"Key Not Found","cause":"/a"}`)
}

// A request that looks strange but has an unambiguous end is served, and so is the next.
func TestClearFraming(t *testing.T) { inAllModes(t, testClearFraming) }

func testClearFraming(t *testing.T, serve server) {
	s := serve(t)
	form := "Host: x\r\nContent-Type: " + httpfront.TypeForm + "\r\n"
	for name, request := range map[string]string{
		"chunks":                 "POST /v1/keys/a HTTP/1.1\r\n" + form + "Transfer-Encoding:  CHUNKED \r\n\r\n3;ext=\"a\"\r\nval\r\n00004\r\nue=1\r\n0\r\nX: y\r\n\r\n",
		"length with zeros":      "POST /v1/keys/a HTTP/1.1\r\n" + form + "Content-Length: \t007 \r\n\r\nvalue=1",
		"length of nothing":      "GET /v1/keys/a HTTP/1.1\r\n" + form + "Content-Length: 0\r\n\r\n",
		"no chunks":              "GET /v1/keys/a HTTP/1.1\r\n" + form + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"empty lines before":     "\r\n\r\nPOST /v1/keys/a HTTP/1.1\r\n" + form + "Content-Length: 7\r\n\r\nvalue=1",
		"HTTP/1.0":               "POST /v1/keys/a HTTP/1.0\r\n" + form + "Connection: keep-alive\r\nContent-Length: 7\r\n\r\nvalue=1",
		"asks first":             "POST /v1/keys/a HTTP/1.1\r\n" + form + "Expect: 100-continue\r\nContent-Length: 7\r\n\r\nvalue=1",
		"HTTP/1.0, asks first":   "POST /v1/keys/a HTTP/1.0\r\n" + form + "Connection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\nvalue=1",
		"asks first in capitals": "POST /v1/keys/a HTTP/1.1\r\n" + form + "EXPECT: 100-Continue\r\nContent-Length: 7\r\n\r\nvalue=1",
		"expects nothing":        "POST /v1/keys/a HTTP/1.1\r\n" + form + "Expect:\r\nContent-Length: 7\r\n\r\nvalue=1",
		"HTTP/1.0, expects":      "POST /v1/keys/a HTTP/1.0\r\n" + form + "Connection: keep-alive\r\nExpect: x\r\nContent-Length: 7\r\n\r\nvalue=1",
		"asks first, chunks":     "POST /v1/keys/a HTTP/1.1\r\n" + form + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Dial()
			c.Set("/a", "value=1")
			c.Send("%s", request+fronttest.RawRequest("GET", "/", ""))
			r := c.Reply("GET")
			if r.Status == 100 && strings.Contains(request, "HTTP/1.1") {
				r = c.Reply("GET")
			}
			if r.Status != 200 || !strings.Contains(r.Body, `"value":"1"`) {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			fronttest.Check(t, c.Reply("GET"), 200, "etcd v9")
		})
	}
}

// A connection is closed after the request if its client asks for that in any way.
func TestConnectionClose(t *testing.T) {
	s := serve(t)
	for _, connection := range []string{"close", "Close", "keep-alive, close", "TE , CLOSE"} {
		c := s.Dial()
		c.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", connection)
		if r := c.Reply("GET"); r.Status != 200 || !r.Close {
			t.Errorf("Connection: %s: %d, close %v", connection, r.Status, r.Close)
		}
		c.WantClosed()
	}
}
