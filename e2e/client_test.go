package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// request is an HTTP request as it goes over the wire: method and target are
// sent exactly as given.
type request struct {
	method string
	target string
	header [][2]string
	body   []byte // nil: no body and, for GET, HEAD and DELETE, no Content-Length
}

// encode returns the bytes of the request for the given host.
func (r request) encode(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.target, host)
	for _, h := range r.header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if r.body != nil || r.method == "POST" || r.method == "PUT" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

const formType = "application/x-www-form-urlencoded"

// get is a GET request.
func get(target string) request {
	return request{method: "GET", target: target}
}

// post is a POST request with a form of alternating names and values.
func post(target string, form ...string) request {
	return request{
		method: "POST",
		target: target,
		header: [][2]string{{"Content-Type", formType}},
		body:   encodeForm(form...),
	}
}

// put is post with another method.
func put(target string, form ...string) request {
	r := post(target, form...)
	r.method = "PUT"
	return r
}

// del is a DELETE request.
func del(target string) request {
	return request{method: "DELETE", target: target}
}

// encodeForm encodes alternating names and values in their order.
func encodeForm(form ...string) []byte {
	body := []byte{}
	for i := 0; i < len(form); i += 2 {
		if i > 0 {
			body = append(body, '&')
		}
		body = append(body, url.QueryEscape(form[i])...)
		body = append(body, '=')
		body = append(body, url.QueryEscape(form[i+1])...)
	}
	return body
}

// encodeMultipart encodes alternating names and values as curl -F would and
// returns the content type that goes with the body.
func encodeMultipart(form ...string) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(form); i += 2 {
		w.WriteField(form[i], form[i+1]) // a bytes.Buffer does not fail
	}
	w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// reply is a complete answer.
type reply struct {
	status int
	header http.Header
	body   string
	closes bool // the server closes the connection after it
}

// conn is one connection to a server.
type conn struct {
	net.Conn
	tcp     *net.TCPConn // below TLS, if there is TLS
	address string
	in      *bufio.Reader
}

// overTLS holds the client configuration of servers with TLS by address, a func() *tls.Config.
var overTLS sync.Map

// dial opens a connection, over TLS if the server at the address speaks that.
func dial(address string) (*conn, error) {
	if cfg, ok := overTLS.Load(address); ok {
		return dialTLS(address, cfg.(func() *tls.Config)())
	}
	c, err := net.DialTimeout("tcp", address, waitLimit)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, tcp: c.(*net.TCPConn), address: address, in: bufio.NewReader(c)}, nil
}

// dialTLS opens a connection over TLS.
func dialTLS(address string, cfg *tls.Config) (*conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: waitLimit}, Config: cfg}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, tcp: c.(*tls.Conn).NetConn().(*net.TCPConn), address: address, in: bufio.NewReader(c)}, nil
}

// send pipelines requests in one write.
func (c *conn) send(requests ...request) error {
	var b []byte
	for _, r := range requests {
		b = append(b, r.encode(c.address)...)
	}
	_, err := c.Write(b)
	return err
}

// receive reads the answer to a request of the given method, without a limit.
func (c *conn) receive(method string) (reply, error) {
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{resp.StatusCode, resp.Header, string(body), resp.Close}, nil
}

// roundTrip sends one request and reads its answer within the usual limit. A
// server may answer before it has read the whole body, so the answer counts
// even if writing failed.
func (c *conn) roundTrip(r request) (reply, error) {
	return c.roundTripWithin(r, waitLimit)
}

// errUnsent says that the server closed the connection before anything of the request was sent.
var errUnsent = errors.New("nothing was sent")

// roundTripWithin is roundTrip with another limit.
func (c *conn) roundTripWithin(r request, limit time.Duration) (reply, error) {
	c.SetDeadline(time.Now().Add(limit))
	defer c.SetDeadline(time.Time{})
	sent := make(chan error, 1)
	go func() { sent <- c.send(r) }()
	answer, err := c.receive(r.method)
	if err != nil {
		c.Close()
		switch sendErr := <-sent; {
		case errors.Is(sendErr, net.ErrClosed):
			err = fmt.Errorf("%w: %w", errUnsent, err)
		case sendErr != nil:
			err = fmt.Errorf("%w (sending: %v)", err, sendErr)
		}
		return reply{}, err
	}
	c.SetWriteDeadline(time.Now())
	<-sent
	return answer, nil
}

// exchange sends one request on a connection of its own.
func exchange(address string, r request) (reply, error) {
	c, err := dial(address)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	return c.roundTrip(r)
}

// dial opens a connection that is closed when the test ends.
func (s *server) dial() *conn {
	s.t.Helper()
	c, err := dial(s.client)
	if err != nil {
		s.t.Fatalf("connect: %v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// do sends one request on a connection of its own; the test ends if there is
// no answer.
func (s *server) do(r request) reply {
	s.t.Helper()
	answer, err := exchange(s.client, r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	return answer
}

// want is do with a check of status and body; expirations in the wanted body
// are written as "*" and match any.
func (s *server) want(r request, status int, body string) reply {
	s.t.Helper()
	answer := s.do(r)
	checkReply(s.t, fmt.Sprintf("%s %s", r.method, r.target), answer, status, body)
	return answer
}

// checkReply compares an answer with the wanted status and body.
func checkReply(t testing.TB, what string, got reply, status int, body string) {
	t.Helper()
	if text := maskExpirations(got.body); got.status != status || text != body {
		t.Errorf("%s\n got %d %s\nwant %d %s", what, got.status, text, status, body)
	}
}

// maskExpirations replaces the values of all expiration fields by "*".
func maskExpirations(body string) string {
	const field = `"expiration":"`
	var b strings.Builder
	for {
		i := strings.Index(body, field)
		if i < 0 {
			b.WriteString(body)
			return b.String()
		}
		rest := body[i+len(field):]
		end := strings.IndexByte(rest, '"')
		if end < 0 {
			b.WriteString(body)
			return b.String()
		}
		b.WriteString(body[:i+len(field)] + "*")
		body = rest[end:]
	}
}

// event is the body of an answer about one key, or of an error.
type event struct {
	Action     string
	Key        string
	PrevValue  string
	Value      string
	NewKey     bool
	Dir        bool
	Expiration string
	TTL        int64
	Index      uint64

	ErrorCode int
	Message   string
	Cause     string
}

// event decodes the body of an answer.
func (r reply) event() (event, error) {
	var e event
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		return event{}, fmt.Errorf("answer %d %q: %w", r.status, r.body, err)
	}
	return e, nil
}

// event is do for answers that hold an event.
func (s *server) event(r request) event {
	s.t.Helper()
	e, err := s.do(r).event()
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	return e
}

// watchers returns how many watches the server has open.
func (s *server) watchers() int {
	s.t.Helper()
	var stats struct{ Watchers *int }
	answer := s.do(get("/v1/stats/store"))
	if err := json.Unmarshal([]byte(answer.body), &stats); err != nil || stats.Watchers == nil {
		s.t.Fatalf("/v1/stats/store: no number of watchers in %d %q (%v)", answer.status, answer.body, err)
	}
	return *stats.Watchers
}

// waitWatchers returns once the server has n watches open.
func (s *server) waitWatchers(n int) {
	s.t.Helper()
	waitUntil(s.t, fmt.Sprintf("%d open watches", n), func() bool { return s.watchers() == n })
}
