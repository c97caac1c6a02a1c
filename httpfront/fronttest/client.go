package fronttest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
)

// Client speaks HTTP over a raw connection.
type Client struct {
	net.Conn
	T  testing.TB
	In *bufio.Reader
}

// NewClient returns a client on a connection, which is closed at the end of the test.
func NewClient(t testing.TB, conn net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * Timeout)); err != nil {
		t.Fatal(err)
	}
	return &Client{conn, t, bufio.NewReader(conn)}
}

// Reply is an answer.
type Reply struct {
	Status int
	Header http.Header
	Close  bool // the server closes the connection
	Body   string
}

// ReadReply reads the answer to a request of the given method.
func ReadReply(in *bufio.Reader, method string) (Reply, error) {
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return Reply{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return Reply{resp.StatusCode, resp.Header, resp.Close, string(body)}, err
}

// RawRequest returns the bytes of a request. A body is a form, or JSON if it begins with a
// brace.
func RawRequest(method, target, body string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: x\r\n"
	if body != "" {
		mediaType := httpfront.TypeForm
		if body[0] == '{' {
			mediaType = httpfront.TypeJSON
		}
		head += fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", mediaType, len(body))
	}
	return head + "\r\n" + body
}

// Send formats like [fmt.Sprintf], and sends the result as it is.
func (c *Client) Send(format string, args ...any) {
	c.T.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.T.Fatal(err)
	}
}

// Reply reads the answer to a request of the given method.
func (c *Client) Reply(method string) Reply {
	c.T.Helper()
	r, err := ReadReply(c.In, method)
	if err != nil {
		c.T.Fatalf("reading an answer: %v", err)
	}
	return r
}

// Do sends a request and reads its answer.
func (c *Client) Do(method, target, body string) Reply {
	c.T.Helper()
	c.Send("%s", RawRequest(method, target, body))
	return c.Reply(method)
}

// Get is Do for a GET.
func (c *Client) Get(target string) Reply { c.T.Helper(); return c.Do("GET", target, "") }

// Set writes a key and returns the body of the answer.
func (c *Client) Set(key, body string) string {
	c.T.Helper()
	r := c.Do("POST", "/v1/keys"+key, body)
	if r.Status != http.StatusOK {
		c.T.Fatalf("set %s: %d %s", key, r.Status, r.Body)
	}
	return r.Body
}

// WantClosed fails the test unless the server has closed the connection.
func (c *Client) WantClosed() {
	c.T.Helper()
	if rest, err := io.ReadAll(c.In); err != nil || len(rest) > 0 {
		c.T.Errorf("the connection goes on with %q, %v; want its end", rest, err)
	}
}

// CheckText is Check for an answer in plain text, whatever it begins with.
func CheckText(t testing.TB, got Reply, status int, body string) {
	t.Helper()
	if ct := got.Header.Get("Content-Type"); got.Status != status || got.Body != body || ct != httpfront.TypeText {
		t.Errorf("got  %d %s %q\nwant %d %s %q", got.Status, ct, got.Body, status, httpfront.TypeText, body)
	}
}

// Check fails the test if an answer has another status or body, or the wrong content type.
func Check(t testing.TB, got Reply, status int, body string) {
	t.Helper()
	if got.Status != status || got.Body != body {
		t.Errorf("got  %d %s\nwant %d %s", got.Status, got.Body, status, body)
	}
	want := httpfront.TypeJSON
	if !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
		want = httpfront.TypeText
	}
	if ct := got.Header.Get("Content-Type"); ct != want {
		t.Errorf("content type %q, want %q", ct, want)
	}
}
