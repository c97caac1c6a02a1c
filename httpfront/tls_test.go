package httpfront_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"etcd/credentials/certtest"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// The answer to plain HTTP at a TLS port says what to do; nothing is logged for the
// operator, because anybody can do that.
func TestPlainOnTLSPort(t *testing.T) {
	s := serve(t, fronttest.WithTLS)
	for name, raw := range map[string]string{
		"GET":  fronttest.RawRequest("GET", "/v1/keys/a", ""),
		"POST": fronttest.RawRequest("POST", "/v1/keys/a", "value="+strings.Repeat("x", 60_000)),
	} {
		t.Run(name, func(t *testing.T) {
			c := s.DialAs(nil)
			c.Send("%s", raw)
			r := c.Reply("GET")
			fronttest.Check(t, r, 400, `{"errorCode":400,"message":"Bad Request","cause":"this port speaks only TLS; ask with https://"}`)
			if !r.Close {
				t.Error("the answer does not say that the connection ends")
			}
			c.WantClosed()
		})
	}
	fronttest.Check(t, s.Dial().Get("/"), 200, "etcd v9")
	s.Eventually("the connections are given up", func() bool { return s.Open() == 2 })
}

// A client that speaks TLS to a plain port learns at once that the port speaks HTTP.
func TestTLSOnPlainPort(t *testing.T) {
	s := serve(t)
	err := s.DialAs(&tls.Config{RootCAs: fronttest.CA().Pool()}).Conn.(*tls.Conn).Handshake()
	if header, ok := errors.AsType[tls.RecordHeaderError](err); !ok || string(header.RecordHeader[:]) != "HTTP/" {
		t.Errorf("the handshake ends with %v", err)
	}
	s.Eventually("the connection is given up", func() bool { return s.Open() == 1 })
}

// Bytes that are neither HTTP nor TLS end the connection; nothing is logged for the operator.
func TestNoiseOnTLSPort(t *testing.T) {
	s := serve(t, fronttest.WithTLS)
	for _, noise := range []string{"\x00\x01\x02\x03\x04\x05", "\x16\x03\x01\x00\x05hello", "\x80\x2e\x01\x00\x02", "\x16\x03"} {
		c := s.DialAs(nil)
		c.Send("%s", noise)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c.In); err != nil || strings.Contains(string(answer), "HTTP") {
			t.Errorf("%q is answered with %q, %v", noise, answer, err)
		}
	}
	s.Eventually("the connections are given up", func() bool { return s.Open() == 1 })
}

// A client without the right certificate can read why it is refused, although it has
// already sent a request; nothing is logged for the operator.
func TestClientCertificates(t *testing.T) {
	s := serve(t, fronttest.WithClientCerts)
	foreign, own := certtest.New("foreign").Issue("client").TLS(), fronttest.CA().Issue("client").TLS()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name string
			cert *tls.Certificate
			want string // in the error
		}{
			{"none", &tls.Certificate{}, "certificate required"},
			{"of another CA", &foreign, "unknown certificate authority"},
			{"of the CA", &own, ""},
		} {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				c := s.DialAs(&tls.Config{
					RootCAs: fronttest.CA().Pool(), MaxVersion: version,
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return test.cert, nil },
				})
				_, err := io.WriteString(c.Conn, fronttest.RawRequest("POST", "/v1/keys/a", "value="+strings.Repeat("x", 10_000)))
				if err == nil {
					var r fronttest.Reply
					if r, err = fronttest.ReadReply(c.In, "POST"); err == nil && r.Status != 200 {
						t.Errorf("%d %s", r.Status, r.Body)
					}
				}
				if version == tls.VersionTLS12 && test.want == "certificate required" {
					test.want = "handshake failure" // this version has no word for it
				}
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
			})
		}
	}
}

// A client that stalls in its handshake delays no other, and counts as a connection.
func TestSilentHandshake(t *testing.T) {
	s := serve(t, fronttest.WithTLS, func(c *httpfront.Config) { c.MaxConnections = 2 })
	silent := s.DialAs(nil)
	silent.Send("\x16\x03\x01")
	c := s.Dial()
	fronttest.Check(t, c.Get("/"), 200, "etcd v9")
	fronttest.Check(t, s.Dial().Get("/"), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
	s.Log.Take() // it says that the port is full
	_ = silent.Close()
	for deadline := time.Now().Add(fronttest.Timeout); s.Open() > 1; c.Get("/") {
		if time.Now().After(deadline) {
			t.Fatal("the closed connection is still counted")
		}
	}
}

// A client that has closed its sending side still gets its answers.
func TestHalfClosed(t *testing.T) { inAllModes(t, testHalfClosed) }

func testHalfClosed(t *testing.T, serve server) {
	s := serve(t)
	c := s.Dial()
	c.Send("%s", fronttest.RawRequest("POST", "/v1/keys/a", "value=1")+fronttest.RawRequest("GET", "/", ""))
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	fronttest.Check(t, c.Reply("POST"), 200, `{"action":"SET","key":"/a","value":"1","newKey":true,"index":3}`)
	fronttest.Check(t, c.Reply("GET"), 200, "etcd v9")
	c.WantClosed()
	for range 20 { // with luck the request and the end come at once
		c := s.Dial()
		c.Send("%s", fronttest.RawRequest("GET", "/v1/keys/a", ""))
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		fronttest.Check(t, c.Reply("GET"), 200, `{"action":"GET","key":"/a","value":"1","index":3}`)
		c.WantClosed()
	}
}

// The peer port logs once that a machine speaks another protocol, or cannot be verified. A
// check whether the port is open is not logged.
func TestWrongProtocolOnPeerPort(t *testing.T) {
	plain := func(p *fronttest.Server) { p.DialAs(nil).Get("/") }
	secured := func(p *fronttest.Server) {
		c := p.DialAs(&tls.Config{RootCAs: fronttest.CA().Pool()})
		_, _ = c.Read(make([]byte, 1)) // it fails, as it should
	}
	knock := func(p *fronttest.Server) {
		c := p.DialAs(nil)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.WantClosed()
	}
	giveUp := func(p *fronttest.Server) {
		c := p.DialAs(nil)
		c.Send("\x16\x03\x01")
		if err := errors.Join(c.Conn.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name    string
		mode    func(*httpfront.Config)
		visit   func(*fronttest.Server)
		message string
		warn    bool
	}{
		{"plain machine", fronttest.WithClientCerts, plain, "plain HTTP on a port that speaks only TLS", true},
		{"machine over TLS", func(*httpfront.Config) {}, secured, "a TLS handshake on a port that speaks plain HTTP", true},
		{"machine without certificate", fronttest.WithClientCerts, secured, "TLS handshake failed", true},
		{"knock", fronttest.WithClientCerts, knock, "TLS handshake failed", false},
		{"dial that is given up", fronttest.WithClientCerts, giveUp, "TLS handshake failed", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			log := &fronttest.LogBuffer{}
			p := servePeerPort(t, s, log, test.mode)
			text := ""
			for visits := range 3 {
				test.visit(p)
				s.Eventually("it is logged", func() bool {
					text += log.Take()
					return strings.Count(text, test.message) > visits
				})
			}
			want := 0
			if test.warn {
				want = 1
			}
			if n := strings.Count(text, "level=WARN"); n != want {
				t.Errorf("%d warnings, want %d:\n%s", n, want, text)
			}
			if test.warn && !strings.Contains(text, "-serverCert and -serverKey") {
				t.Errorf("the log does not say what to do:\n%s", text)
			}
		})
	}
}
