package httpfront_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

func TestConnectionLimit(t *testing.T) { inAllModes(t, testConnectionLimit) }

func testConnectionLimit(t *testing.T, serve server) {
	s := serve(t, func(c *httpfront.Config) { c.MaxConnections = 3 })
	open := []*fronttest.Client{s.Dial(), s.Dial(), s.Dial()}
	for _, c := range open {
		c.Get("/")
	}
	open[0].Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", "")) // counts as before
	for range 3 {
		c := s.Dial() // sends nothing, and gets the error all the same
		r := c.Reply("GET")
		fronttest.Check(t, r, 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
		if !r.Close {
			t.Error("the answer does not say that the connection ends")
		}
		c.WantClosed()
	}
	if n := s.Refused(); n != 3 {
		t.Errorf("%d refusals were counted, want 3", n)
	}
	if log := s.Log.Take(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "-max-connections") || !strings.Contains(log, "limit=3") {
		t.Errorf("three refusals logged:\n%s", log)
	}
	fronttest.Check(t, open[1].Get("/"), 200, "etcd v9") // connections that were accepted stay open
	for _, c := range open[:2] {
		_ = c.Close() // one of them watches
	}
	for deadline := time.Now().Add(fronttest.Timeout); s.Open() > 1; open[2].Get("/") {
		if time.Now().After(deadline) {
			t.Fatal("closed connections are still counted")
		}
	}
	fronttest.Check(t, s.Dial().Get("/"), 200, "etcd v9")
}

// A client whose body is refused can read why, although it was still sending, and the
// connection is closed.
func TestRefusedBody(t *testing.T) { inAllModes(t, testRefusedBody) }

func testRefusedBody(t *testing.T, serve server) {
	s := serve(t)
	want := `{"errorCode":413,"message":"Request Entity Too Large","cause":"the limit is set by -max-body"}`
	for name, head := range map[string]string{
		"length":  "Content-Length: 4000000\r\n\r\n",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n3D0900\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Dial()
			c.Send("POST /v1/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s", httpfront.TypeForm, head)
			if _, err := io.CopyN(c.Conn, zeros{}, 4_000_000); err != nil {
				t.Fatalf("sending: %v", err)
			}
			fronttest.Check(t, c.Reply("POST"), 413, want)
			c.WantClosed()
		})
	}
	c := s.Dial()
	body := "value=" + strings.Repeat("x", 64<<10-6)
	if r := c.Do("POST", "/v1/keys/a", body); r.Status != 200 {
		t.Errorf("a body as long as the limit: %d", r.Status)
	}
	fronttest.Check(t, c.Do("POST", "/v1/keys/a", body+"x"), 413, want)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLongRequests(t *testing.T) { inAllModes(t, testLongRequests) }

func testLongRequests(t *testing.T, serve server) {
	s := serve(t)
	long := func(n int) string { return strings.Repeat("k", n) }
	for _, test := range []struct {
		name, request string
		status        int
		ends          bool
	}{
		{"target at the limit", fronttest.RawRequest("GET", "/v1/keys/"+long(httpfront.MaxURI-len("/v1/keys/")), ""), 404, false},
		{"target over the limit", fronttest.RawRequest("GET", "/v1/keys/"+long(httpfront.MaxURI), ""), 414, false},
		{"target over the buffer", fronttest.RawRequest("GET", "/v1/keys/"+long(2*httpfront.MaxHeader), ""), 414, true},
		{"headers over the buffer", "GET / HTTP/1.1\r\nHost: x\r\nX: " + long(2*httpfront.MaxHeader) + "\r\n\r\n", 431, true},
		{"second request on a connection", fronttest.RawRequest("GET", "/", "") + fronttest.RawRequest("GET", "/v1/keys/"+long(2*httpfront.MaxHeader), ""), 414, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.Dial()
			c.Send("%s", test.request)
			if strings.HasPrefix(test.name, "second") {
				c.Reply("GET")
			}
			r := c.Reply("GET")
			if r.Status != test.status || r.Header.Get("Content-Type") != httpfront.TypeJSON || !strings.HasPrefix(r.Body, `{"errorCode":`) {
				t.Errorf("%d %s, want %d", r.Status, r.Body, test.status)
			}
			if test.ends {
				c.WantClosed()
			} else {
				fronttest.Check(t, c.Get("/"), 200, "etcd v9")
			}
		})
	}
}

// A request that makes its handler panic fails, and affects no other client.
func TestHandlerPanics(t *testing.T) { inAllModes(t, testHandlerPanics) }

func testHandlerPanics(t *testing.T, serve server) {
	s := serve(t)
	beside := s.Dial()
	beside.Set("/a", "value=1")
	for _, path := range []string{"/panics", "/panics/directly", "/panics/later"} {
		c := s.Dial()
		r := c.Get(path + "?value=secret")
		fronttest.Check(t, r, 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"internal error"}`)
		if !r.Close {
			t.Errorf("the answer to %s does not say that the connection ends", path)
		}
		c.WantClosed()
		log := s.Log.Take()
		for _, part := range []string{"panic in the handler", "panic=\"it is broken\"", "path=" + path + " ", "method=GET", "stack="} {
			if !strings.Contains(log, part) {
				t.Errorf("the log lacks %q:\n%s", part, log)
			}
		}
		if strings.Contains(log, "secret") {
			t.Errorf("the log has the value of a request:\n%s", log)
		}
	}
	fronttest.Check(t, beside.Get("/"), 200, "etcd v9")
	fronttest.Check(t, beside.Get("/v1/keys/a"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
	s.Eventually("the connection is given up", func() bool { return s.Open() == 2 })
}
