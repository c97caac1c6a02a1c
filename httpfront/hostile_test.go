package httpfront_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

const hostileForm = "Host: x\r\nContent-Type: " + httpfront.TypeForm + "\r\n"

// smuggled is a request that must never be served: it stands where a parser that takes the one
// before it for shorter finds the next.
var smuggled = fronttest.RawRequest("POST", "/v1/keys/smuggled", "value=1")

// chunkedBody is a request with a chunked body.
func chunkedBody(body string) string {
	return "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Transfer-Encoding: chunked\r\n\r\n" + body
}

// withHost is a request with another Host.
func withHost(host string) string {
	return "POST /v1/keys/smuggled HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: " + httpfront.TypeForm + "\r\nContent-Length: 7\r\n\r\nvalue=1"
}

// withHeader is a request with one more header.
func withHeader(header string) string {
	return "GET /v1/keys/a HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n"
}

// hostile is what a client sends that means harm, or does not know better, besides the requests of
// framing: the statuses of the answers, and whether the connection ends with the last of them. If
// it does not, it is good for the next request.
var hostile = []struct {
	name, sent, answers string
}{
	// RFC 9112, 2.2: how lines end, and what may stand before a request.
	{"empty lines before a request", "\r\n\r\n" + withHeader("X: y"), "200"},
	{"request line that ends in a bare LF, folded", "GET /v1/keys/a HTTP/1.1\n HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"nothing but bare LFs", "GET /v1/keys/a HTTP/1.1\nHost: x\n\n" + smuggled, "400 end"},
	{"bare CRs", "GET /v1/keys/a HTTP/1.1\rHost: x\r\r" + smuggled, "400 end"},
	{"space before a request", " GET /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},

	// 3: the request line.
	{"HTTP/0.9", "GET /v1/keys/a\r\n\r\n" + smuggled, "400 end"},
	{"two spaces before the target", "GET  /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"two spaces behind the target", "GET /v1/keys/a  HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"space in the target", "GET /v1/keys/a b HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"tab in the target", "GET /v1/keys/a\tb HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"target of a word", "GET v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"method that is no token", "G(T /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"method with a NUL", "GET\x00 /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"method of no ASCII", "G\u00c9T /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"method of 12,000 bytes", strings.Repeat("G", 12_000) + " /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
	{"method without end", strings.Repeat("G", 100_000), "414 end"},
	{"target without end", "GET /" + strings.Repeat("a", 100_000), "414 end"},
	{"the preface of HTTP/2 with a frame", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "505 end"},

	// 3.2.2 to 3.2.4: a target is a path, except for proxies, CONNECT and OPTIONS. The host of an
	// absolute one replaces that of Host.
	{"absolute target", "GET http://x/v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
	{"absolute target at a foreign host", "GET http://other.example/v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
	{"absolute target of another scheme", "GET ftp://x/v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
	{"absolute target with a user", "GET http://root:secret@x/v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"absolute target with an invalid port", "GET http://x:port/v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"absolute target with half an address", "GET http://[::1/v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"absolute target without a host", "GET http:///v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"absolute target without Host", "GET http://x/v1/keys/a HTTP/1.1\r\n\r\n" + smuggled, "400 end"},
	{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
	{"CONNECT to a key", "CONNECT /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
	{"GET with the target of CONNECT", "GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, "400 end"},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
	{"GET *", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "404"},

	// RFC 9110, 9.1 and 9.3.8: a method that a resource does not have; TRACE would repeat what
	// the client cannot read, such as its cookies.
	{"TRACE", "TRACE /v1/keys/a HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n", "405"},
	{"TRACK", "TRACK /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
	{"method in small letters", "get /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
	{"unknown method with a body", "MERGE /v1/keys/a HTTP/1.1\r\n" + hostileForm + "Content-Length: 7\r\n\r\nvalue=1", "405"},
	{"method in another header", "POST /v1/keys/a HTTP/1.1\r\n" + hostileForm + "X-HTTP-Method-Override: DELETE\r\nContent-Length: 7\r\n\r\nvalue=1", "200"},

	// 7.2, and RFC 9112, 3.2: an invalid Host is an error of its own.
	{"host with a path", withHost("x/v1") + smuggled, "400 end"},
	{"host with a user", withHost("root@x") + smuggled, "400 end"},
	{"host with a user and a password", withHost("a:b@x") + smuggled, "400 end"},
	{"host with a query", withHost("x?y") + smuggled, "400 end"},
	{"host with a fragment", withHost("x#y") + smuggled, "400 end"},
	{"host with a backslash", withHost("x\\y") + smuggled, "400 end"},
	{"host with a scheme", withHost("http://x") + smuggled, "400 end"},
	{"host with an invalid port", withHost("x:port") + smuggled, "400 end"},
	{"host with two ports", withHost("x:1:2") + smuggled, "400 end"},
	{"host that is half an address", withHost("[::1") + smuggled, "400 end"},
	{"host that is no address", withHost("[x]") + smuggled, "400 end"},
	{"host with a tab", withHost("x\ty") + smuggled, "400 end"},
	{"host with a line end", withHost("x%0d%0aX: y") + smuggled, "400 end"},

	// RFC 9112, 5.1, and RFC 9110, 5.5 and 5.6.2: names are tokens, and values have no controls
	// but the tab. Bytes over 0x7f mean nothing there.
	{"value of no ASCII", withHeader("X: \xff\xfe\u00e9"), "200"},
	{"value with a tab", withHeader("X: a\tb"), "200"},
	{"value with a vertical tab", withHeader("X: a\vb") + smuggled, "400 end"},
	{"value with an escape", withHeader("X: \x1b[2J") + smuggled, "400 end"},
	{"value with a DEL", withHeader("X: \x7f") + smuggled, "400 end"},
	{"name of no ASCII", withHeader("X\u00e9: y") + smuggled, "400 end"},
	{"name that is no token", withHeader("X(y): z") + smuggled, "400 end"},
	{"name with a tab", withHeader("X\t: z") + smuggled, "400 end"},
	{"coding behind a space", withHeader("Transfer-Encoding : chunked") + "0\r\n\r\n" + smuggled, "400 end"},
	{"coding with an underscore", withHeader("Transfer_Encoding: chunked"), "200"},
	{"length with an underscore", withHeader("Content_Length: 7"), "200"},

	// RFC 6585, 5: too much header.
	{"a thousand small headers", withHeader(strings.TrimSuffix(strings.Repeat("X: y\r\n", 1000), "\r\n")), "200"},
	{"many small headers", withHeader(strings.Repeat("X: y\r\n", 10_000)), "431 end"},
	{"headers without end", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 20_000), "431 end"},
	{"one huge header", withHeader("X: " + strings.Repeat("y", 100_000)), "431 end"},
	{"one huge name", withHeader(strings.Repeat("X", 100_000) + ": y"), "431 end"},
	{"cookies", withHeader(strings.Repeat("Cookie: a=b\r\n", 10_000)), "431 end"},

	// RFC 9112, 6.3: lengths that are none, besides those of framing.
	{"length in two parts", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Length: 7 7\r\n\r\nvalue=1" + smuggled, "400 end"},
	{"length of 20 digits", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Length: 18446744073709551616\r\n\r\nvalue=1" + smuggled, "400 end"},
	{"largest length", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Length: 9223372036854775807\r\n\r\nvalue=1" + smuggled, "413 end"},
	{"length behind a vertical tab", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Length: \v7\r\n\r\nvalue=1" + smuggled, "400 end"},
	{"length in other digits", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Length: \u0667\r\n\r\nvalue=1" + smuggled, "400 end"},
	{"chunked behind a tab", "POST /v1/keys/a HTTP/1.1\r\n" + hostileForm + "Transfer-Encoding:\tchunked\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n", "200"},
	{"chunked with a parameter", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" + smuggled, "400 end"},
	{"chunked before a comma", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n" + smuggled, "400 end"},

	// 7.1: chunks, besides those of framing. What is in an extension or a trailer has no meaning.
	{"chunk extension", chunkedBody("7;a=b;c=\"d;e\"\r\nvalue=1\r\n0;f\r\n\r\n"), "200"},
	{"chunk extension with a bare CR", chunkedBody("7;a\rb\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"last chunk that ends in a bare LF", chunkedBody("7\r\nvalue=1\r\n0\n\n") + smuggled, "400 end"},
	{"body that ends in a bare LF", chunkedBody("7\r\nvalue=1\r\n0\r\n\n") + smuggled, "400 end"},
	{"trailer", chunkedBody("7\r\nvalue=1\r\n0\r\nX: y\r\n\r\n"), "200"},
	{"trailer that ends in a bare LF", chunkedBody("7\r\nvalue=1\r\n0\r\nX: y\n\r\n") + smuggled, "400 end"},
	{"trailers that end in a bare LF", chunkedBody("7\r\nvalue=1\r\n0\r\nX: y\r\n\n") + smuggled, "400 end"},
	{"trailer with an empty line of bare LFs", chunkedBody("7\r\nvalue=1\r\n0\r\nX: y\n\n") + smuggled, "400 end"},
	{"trailer that is folded", chunkedBody("7\r\nvalue=1\r\n0\r\nX: y\r\n z\r\n\r\n") + smuggled, "400 end"},
	{"trailer with a space in its name", chunkedBody("7\r\nvalue=1\r\n0\r\nX : y\r\n\r\n") + smuggled, "400 end"},
	{"trailer without a name", chunkedBody("7\r\nvalue=1\r\n0\r\n: y\r\n\r\n") + smuggled, "400 end"},
	{"trailer with a coding", chunkedBody("7\r\nvalue=1\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n") + smuggled, "400 end"},
	{"trailer with a host", chunkedBody("7\r\nvalue=1\r\n0\r\nHost: y\r\n\r\n") + smuggled, "400 end"},
	{"chunk behind a space", chunkedBody(" 7\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"chunk size behind a tab", chunkedBody("\t7\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"chunk size with an underscore", chunkedBody("0_7\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"chunk size over the limit", chunkedBody("100000007\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "413 end"},
	{"chunk size before a space", chunkedBody("7 \r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"chunk extension with a NUL", chunkedBody("7;\x00\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"trailer with a NUL", chunkedBody("7\r\nvalue=1\r\n0\r\nX: \x00\r\n\r\n") + smuggled, "400 end"},
	{"largest length of all", "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Length: 9223372036854775806\r\n\r\n0\r\n\r\n" + smuggled, "413 end"},
	{"chunk size with too many zeros", chunkedBody("00000000000000007\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},
	{"chunk size of 16 digits", chunkedBody("8000000000000000\r\nvalue=1\r\n0\r\n\r\n") + smuggled, "400 end"},

	// RFC 3986, 2.1 and 5.2.4: a path is decoded once and then cleaned; what is no UTF-8, or has
	// a NUL, is no key. Nothing else separates or leads upwards.
	{"dots", fronttest.RawRequest("GET", "/v1/keys/b/../a", ""), "200"},
	{"escaped dots", fronttest.RawRequest("GET", "/v1/keys/b/%2e%2e/a", ""), "200"},
	{"dots above the root", fronttest.RawRequest("GET", "/../../../v1/keys/%2e%2e/keys/a", ""), "200"},
	{"escaped slash", fronttest.RawRequest("GET", "/v1%2Fkeys%2fa", ""), "200"},
	{"slashes and dots", fronttest.RawRequest("GET", "//v1/./keys///a/.", ""), "200"},
	{"escaped twice", fronttest.RawRequest("GET", "/v1/keys/b/%252e%252e/a", ""), "404"},
	{"backslashes", fronttest.RawRequest("GET", "/v1/keys/b\\..\\a", ""), "404"},
	{"escaped backslashes", fronttest.RawRequest("GET", "/v1/keys/b%5c..%5ca", ""), "404"},
	{"path parameters", fronttest.RawRequest("GET", "/v1/keys/b/..;/a", ""), "404"},
	{"three dots", fronttest.RawRequest("GET", "/v1/keys/b/.../a", ""), "404"},
	{"NUL in a key", fronttest.RawRequest("GET", "/v1/keys/a%00", ""), "400"},
	{"NUL and a suffix", fronttest.RawRequest("GET", "/v1/keys/a%00.txt", ""), "400"},
	{"no UTF-8 in a key", fronttest.RawRequest("GET", "/v1/keys/%ff%fe", ""), "400"},
	{"raw bytes that are no UTF-8 in a key", fronttest.RawRequest("GET", "/v1/keys/\xff\xfe", ""), "400"},
	{"overlong slash", fronttest.RawRequest("GET", "/v1/keys/b%c0%afa", ""), "400"},
	{"overlong dots", fronttest.RawRequest("GET", "/v1/keys/b/%c0%ae%c0%ae/a", ""), "400"},
	{"surrogate", fronttest.RawRequest("GET", "/v1/keys/%ed%a0%80", ""), "400"},
	{"half an escape", fronttest.RawRequest("GET", "/v1/keys/a%2", ""), "400"},
	{"no escape", fronttest.RawRequest("GET", "/v1/keys/%u0061", ""), "400"},
	{"reserved keys by detours", fronttest.RawRequest("POST", "/v1/keys/a/%2e%2e/_etcd%2fx", "value=1"), "400"},

	// The fields of a form: NUL and whatever is no UTF-8 are in order in a value.
	{"NUL in a value", fronttest.RawRequest("POST", "/v1/keys/odd", "value=a%00b"), "200"},
	{"no UTF-8 in a value", fronttest.RawRequest("POST", "/v1/keys/odd", "value=%ff"), "200"},
	{"NUL in a name", fronttest.RawRequest("POST", "/v1/keys/smuggled", "val%00ue=1"), "400"},
	{"no UTF-8 in a time to live", fronttest.RawRequest("POST", "/v1/keys/smuggled", "value=1&ttl=%ff"), "400"},
	{"half an escape in a value", fronttest.RawRequest("POST", "/v1/keys/smuggled", "value=%2"), "400"},
	{"many fields", fronttest.RawRequest("POST", "/v1/keys/smuggled", strings.Repeat("a&", 30_000)+"value=1"), "400"},

	// RFC 9110, 8.4: a coding that is not understood. Nothing is ever decompressed, so that a
	// few bytes are a few bytes.
	{"gzip", compressedBody("gzip"), "400"},
	{"deflate", compressedBody("deflate"), "400"},
	{"br and zstd", compressedBody("br, zstd"), "400"},
	{"gzip twice", compressedBody("gzip, gzip"), "400"},
	{"gzip in two lines", compressedBody("identity\r\nContent-Encoding: gzip"), "400"},

	// 7.8: an upgrade may be ignored, and h2c is (RFC 9113, 3.1).
	{"websocket", withHeader("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), "200"},
	{"h2c", withHeader("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"), "200"},
	{"h2c with a body", "POST /v1/keys/a HTTP/1.1\r\n" + hostileForm + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 7\r\n\r\nvalue=1", "200"},
	{"the streams of machines", withHeader("Connection: Upgrade\r\nUpgrade: etcd-raft"), "200"},

	// RFC 9112, 9.3: HTTP/1.0 closes, unless it asks for something else.
	{"HTTP/1.0", "GET /v1/keys/a HTTP/1.0\r\n\r\n" + smuggled, "200 end"},
	{"HTTP/1.0 with keep-alive", "GET /v1/keys/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200"},
	{"HTTP/1.0 with a body of no length", "POST /v1/keys/smuggled HTTP/1.0\r\nContent-Type: " + httpfront.TypeForm + "\r\n\r\nvalue=1" + smuggled, "400 end"},
	{"close and keep-alive", withHeader("Connection: keep-alive, close") + smuggled, "200 end"},
	{"close and keep-alive in two lines", withHeader("Connection: close\r\nConnection: keep-alive") + smuggled, "200 end"},
	{"headers named by Connection", withHeader("Connection: Host, Content-Length"), "200"},

	// 9.3.2: answers come in the order of the requests, and end at the first that is not clear.
	{"ten requests at once", strings.Repeat(withHeader("X: y"), 10), strings.Repeat("200 ", 10)},
	{"a bad one in the middle", strings.Repeat(withHeader("X: y"), 5) + withHeader("X : y") + smuggled + smuggled + smuggled + smuggled, strings.Repeat("200 ", 5) + "400 end"},
	{"a bad chunk in the middle", strings.Repeat(withHeader("X: y"), 3) + chunkedBody("7\r\nvalue=12\r\n0\r\n\r\n") + smuggled + smuggled, "200 200 200 400 end"},
	{"a refusal in the middle", withHeader("X: y") + fronttest.RawRequest("GET", "/v1/keys/%ff", "") + fronttest.RawRequest("PATCH", "/v1/keys/a", "x=1") + withHeader("X: y"), "200 400 405 200"},
	{"the end in the middle", withHeader("X: y") + withHeader("Connection: close") + smuggled, "200 200 end"},
	{"a body that is a request", fronttest.RawRequest("POST", "/v1/keys/a", "value=1&x="+smuggled), "200"},
	{"a GET whose body is a request", fmt.Sprintf("GET /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", httpfront.TypeForm, len(smuggled), smuggled), "200"},

	// No HTTP at all.
	{"the hello of SSL 2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x07\x00\xc0\r\n\r\n", "400 end"},
	{"SSH", "SSH-2.0-OpenSSH_9.6\r\n\r\n", "400 end"},
	{"redis", "*1\r\n$4\r\nPING\r\n\r\n", "400 end"},
	{"SMTP", "EHLO x\r\n\r\n", "400 end"},
	{"NULs", strings.Repeat("\x00", 200) + "\r\n\r\n", "400 end"},
}

// compressedBody is a request whose body is said to be compressed: it would set the key if that
// were taken as it is.
func compressedBody(coding string) string {
	return "POST /v1/keys/smuggled HTTP/1.1\r\n" + hostileForm + "Content-Encoding: " + coding + "\r\nContent-Length: 7\r\n\r\nvalue=1"
}

// arrivals are the ways in which bytes arrive: at once, so that a direct request is served by
// direct.go, and one by one, so that partial.go collects it. Without a poller, fasthttp serves those.
var arrivals = map[string]func(c net.Conn, sent string) error{
	"at once": func(c net.Conn, sent string) error {
		_, err := io.WriteString(c, sent)
		return err
	},
	"byte by byte": func(c net.Conn, sent string) error {
		for i := range min(len(sent), 1000) { // of what is longer, that is long enough to be past the request line
			if _, err := io.WriteString(c, sent[i:i+1]); err != nil {
				return err
			}
		}
		_, err := io.WriteString(c, sent[min(len(sent), 1000):])
		return err
	},
}

// Whatever a client sends is answered as it should be: requests that are clear in their order, and at
// the first that is not, or that two parsers may read differently, the connection ends.
func TestHostileInput(t *testing.T) { inAllModes(t, testHostileInput) }

func testHostileInput(t *testing.T, serve server) {
	s := serve(t)
	beside := s.Dial()
	beside.Set("/a", "value=1")
	for arrival, send := range arrivals {
		for _, test := range hostile {
			t.Run(test.name+"/"+arrival, func(t *testing.T) {
				c := s.Dial()
				c.T = t
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_ = send(c.Conn, test.sent) // the server may have enough before the end
				}()
				answers, ends := strings.CutSuffix(test.answers, "end")
				for n, want := range strings.Fields(answers) {
					r := c.Reply("GET")
					if strconv.Itoa(r.Status) != want || r.Status >= 400 && !strings.HasPrefix(r.Body, `{"errorCode":`) {
						t.Fatalf("answer %d: %d %.200s, want %s", n, r.Status, r.Body, want)
					}
				}
				<-sent
				if ends {
					// What was sent behind the end may have the connection reset.
					if rest, err := io.ReadAll(c.In); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("the connection goes on with %q, %v; want its end", rest, err)
					}
				} else {
					fronttest.Check(t, c.Get("/"), 200, "etcd v9")
				}
				fronttest.Check(t, beside.Get("/"), 200, "etcd v9")
				if got := beside.Get("/v1/keys/smuggled"); got.Status != 404 {
					if ends {
						t.Errorf("what follows was taken for a request: %s", got.Body)
					}
					beside.Do("DELETE", "/v1/keys/smuggled", "")
				}
			})
		}
	}
}

// A client that sends no more than half a request, and says so, gets no answer to it that could be
// taken for that of a whole one, and what it has begun is not done.
func TestHalfRequests(t *testing.T) { inAllModes(t, testHalfRequests) }

func testHalfRequests(t *testing.T, serve server) {
	s := serve(t)
	whole := fronttest.RawRequest("POST", "/v1/keys/smuggled", "value=1")
	chunked := chunkedBody("7\r\nvalue=1\r\n0\r\n\r\n")
	half := func(sent string) []byte {
		c := s.Dial()
		c.Send("%s", sent)
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c.In)
		if err != nil {
			t.Fatalf("%q: the connection does not end: %v", sent, err)
		}
		return got
	}
	for _, request := range []string{whole, chunked} {
		for end := range len(request) - 1 {
			if got := half(request[:end]); len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
				t.Errorf("%q is answered %q", request[:end], got)
			}
		}
	}
	if r := s.Dial().Get("/v1/keys/smuggled"); r.Status != 404 {
		t.Errorf("half a request was carried out: %s", r.Body)
	}
	for _, request := range []string{whole, chunked} { // an end behind a whole request does not matter
		if got := string(half(request + request)); strings.Count(got, "HTTP/1.1 200 ") != 2 {
			t.Errorf("two requests and the end are answered %q", got)
		}
	}
}

// Noise at either port ends the connection, and gets no answer but an error.
func TestNoise(t *testing.T) { inAllModes(t, testNoise) }

func testNoise(t *testing.T, serve server) {
	s := serve(t)
	mode := func(*httpfront.Config) {}
	if s.TLS != nil {
		mode = fronttest.WithTLS
	}
	p := servePeerPort(t, s, io.Discard, mode)
	const seed = 16
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range 200 {
		noise := make([]byte, 1+rng.IntN(3000))
		for j := range noise {
			noise[j] = byte(rng.Uint32())
			if i%2 == 0 && rng.IntN(20) == 0 { // lines are read in another way
				noise[j] = "\r\n: /"[rng.IntN(5)]
			}
		}
		for _, port := range []*fronttest.Server{s, p} {
			c := port.Dial()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = c.Write(noise) // the server may have enough before the end
				_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			}()
			got, err := io.ReadAll(c.In)
			if err != nil || len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 4") && !strings.HasPrefix(string(got), "HTTP/1.1 505 ") {
				t.Errorf("%q is answered with %q, %v", noise, got, err)
			}
			<-sent
			_ = c.Close()
		}
	}
	fronttest.Check(t, s.Dial().Get("/"), 200, "etcd v9")
	if r := p.Dial().Get("/version"); r.Status != 200 {
		t.Errorf("the peer port: %d %s", r.Status, r.Body)
	}
	s.Eventually("the connections are given up", func() bool { return s.Open() <= 2 && p.Open() <= 1 })
}
