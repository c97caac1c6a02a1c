package httpfront

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"etcd/credentials/certtest"
	"etcd/store"
)

// mutual makes a server want certificates of its clients.
func mutual(c *Config) {
	overTLS(c)
	c.TLS.ClientAuth, c.TLS.ClientCAs = tls.RequireAndVerifyClientCert, testCA().Pool()
}

// Whoever speaks plain HTTP to a TLS port reads in the answer what to do; nothing is
// logged for the operator, because anybody can do that.
func TestPlainOnTLSPort(t *testing.T) {
	s := serve(t, overTLS)
	for name, raw := range map[string]string{
		"GET":  rawRequest("GET", "/v1/keys/a", ""),
		"POST": rawRequest("POST", "/v1/keys/a", "value="+strings.Repeat("x", 60_000)),
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dialAs(nil)
			c.send("%s", raw)
			r := c.reply("GET")
			check(t, r, 400, `{"errorCode":400,"message":"Bad Request","cause":"this port speaks only TLS; ask with https://"}`)
			if !r.close {
				t.Error("the answer does not say that the connection ends")
			}
			c.ended()
		})
	}
	check(t, s.dial().get("/version"), 200, "etcd v9")
	s.eventually("the connections are given up", func() bool { return s.port.Open() == 2 })
}

// A client that speaks TLS to a plain port learns that it gets HTTP, at once.
func TestTLSOnPlainPort(t *testing.T) {
	s := serve(t)
	err := s.dialAs(&tls.Config{RootCAs: testCA().Pool()}).Conn.(*tls.Conn).Handshake()
	if header, ok := errors.AsType[tls.RecordHeaderError](err); !ok || string(header.RecordHeader[:]) != "HTTP/" {
		t.Errorf("the handshake ends with %v", err)
	}
	s.eventually("the connection is given up", func() bool { return s.port.Open() == 1 })
}

// Neither HTTP nor TLS ends the connection, and logs nothing for the operator.
func TestNoiseOnTLSPort(t *testing.T) {
	s := serve(t, overTLS)
	for _, noise := range []string{"\x00\x01\x02\x03\x04\x05", "\x16\x03\x01\x00\x05hello", "\x80\x2e\x01\x00\x02", "\x16\x03"} {
		c := s.dialAs(nil)
		c.send("%s", noise)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c.in); err != nil || strings.Contains(string(answer), "HTTP") {
			t.Errorf("%q is answered with %q, %v", noise, answer, err)
		}
	}
	s.eventually("the connections are given up", func() bool { return s.port.Open() == 1 })
}

// A client without the right certificate reads why it is refused, although it has
// sent a request already; nothing is logged for the operator.
func TestClientCertificates(t *testing.T) {
	s := serve(t, mutual)
	foreign, own := certtest.New("foreign").Issue("client").TLS(), testCA().Issue("client").TLS()
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
				c := s.dialAs(&tls.Config{
					RootCAs: testCA().Pool(), MaxVersion: version,
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return test.cert, nil },
				})
				_, err := io.WriteString(c.Conn, rawRequest("POST", "/v1/keys/a", "value="+strings.Repeat("x", 10_000)))
				if err == nil {
					var r reply
					if r, err = readReply(c.in, "POST"); err == nil && r.status != 200 {
						t.Errorf("%d %s", r.status, r.body)
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

// A client that does not go on with its handshake holds up nobody else, and counts as
// a connection.
func TestSilentHandshake(t *testing.T) {
	s := serve(t, overTLS, func(c *Config) { c.MaxConnections = 2 })
	silent := s.dialAs(nil)
	silent.send("\x16\x03\x01")
	c := s.dial()
	check(t, c.get("/version"), 200, "etcd v9")
	check(t, s.dial().get("/version"), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many connections"}`)
	s.log.take() // it says so
	_ = silent.Close()
	for deadline := time.Now().Add(patience); s.port.Open() > 1; c.get("/version") {
		if time.Now().After(deadline) {
			t.Fatal("the closed connection is still counted")
		}
	}
}

// A client that has said all it wants to say still gets its answers.
func TestHalfClosed(t *testing.T) { inBothModes(t, testHalfClosed) }

func testHalfClosed(t *testing.T, serve server) {
	s := serve(t)
	c := s.dial()
	c.send("%s", rawRequest("POST", "/v1/keys/a", "value=1")+rawRequest("GET", "/version", ""))
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	check(t, c.reply("POST"), 200, `{"action":"SET","key":"/a","value":"1","newKey":true,"index":3}`)
	check(t, c.reply("GET"), 200, "etcd v9")
	c.ended()
}

// servePeers serves the port for other machines beside that of s, with its machine.
func servePeers(t testing.TB, s *testServer, log io.Writer, edit ...func(*Config)) *testServer {
	t.Helper()
	return servePeersOn(t, s, loopback(t), log, edit...)
}

func servePeersOn(t testing.TB, s *testServer, l net.Listener, log io.Writer, edit ...func(*Config)) *testServer {
	t.Helper()
	cfg := testConfig(s.clock)
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, e := range edit {
		e(&cfg)
	}
	p := &testServer{Server: NewPeers(cfg), t: t, addr: l.Addr().String(), tls: s.tls}
	p.Attach(s.machine)
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(p.Shutdown(ctx), <-served); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return p
}

// On the peer port the operator is told once about a machine that speaks differently,
// or cannot be verified; looking whether the port is open is no reason for that.
func TestStrangersOnPeerPort(t *testing.T) {
	plain := func(p *testServer) { p.dialAs(nil).get("/version") }
	overTLS := func(p *testServer) {
		c := p.dialAs(&tls.Config{RootCAs: testCA().Pool()})
		_, _ = c.Read(make([]byte, 1)) // it fails, as it should
	}
	knock := func(p *testServer) {
		c := p.dialAs(nil)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.ended()
	}
	giveUp := func(p *testServer) {
		c := p.dialAs(nil)
		c.send("\x16\x03\x01")
		if err := errors.Join(c.Conn.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name    string
		mode    func(*Config)
		visit   func(*testServer)
		message string
		warn    bool
	}{
		{"plain machine", mutual, plain, "plain HTTP on a port that speaks only TLS", true},
		{"machine over TLS", func(*Config) {}, overTLS, "a TLS handshake on a port that speaks plain HTTP", true},
		{"machine without certificate", mutual, overTLS, "TLS handshake failed", true},
		{"knock", mutual, knock, "TLS handshake failed", false},
		{"dial that is given up", mutual, giveUp, "TLS handshake failed", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			log := &records{}
			p := servePeers(t, s, log, test.mode)
			text := ""
			for visits := range 3 {
				test.visit(p)
				s.eventually("it is logged", func() bool {
					text += log.take()
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

// A machine that is reached by another protocol than the cluster's is not taken in,
// and both sides are told.
func TestJoinByAnotherProtocol(t *testing.T) {
	for name, test := range map[string]struct {
		mode          func(*Config)
		theirs, cause string
	}{
		"plain into TLS": {overTLS, "http", "the machines of this cluster reach each other by https, and this one only by http; start it like them, with -serverCert and -serverKey or without"},
		"TLS into plain": {func(*Config) {}, "https", "the machines of this cluster reach each other by http, and this one only by https; start it like them, with -serverCert and -serverKey or without"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			log := &records{}
			p := servePeers(t, s, log, test.mode)
			if test.theirs == "http" {
				p.tls = &tls.Config{RootCAs: testCA().Pool()}
			}
			body := `{"memberId":"5","name":"n5","peerUrl":"` + test.theirs + `://127.0.0.1:7005","clientUrl":"http://127.0.0.1:4005"}`
			r := p.dial().do("POST", joinPath, body)
			check(t, r, 409, `{"errorCode":409,"message":"Conflict","cause":"`+test.cause+`"}`)
			if text := log.take(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "n5 at "+test.theirs+"://127.0.0.1:7005") {
				t.Errorf("logged:\n%s", text)
			}
			if list := s.dial().get("/v1/machines"); list.body != "http://127.0.0.1:4001" {
				t.Errorf("machines %q", list.body)
			}
		})
	}
}

// Join speaks the protocol of the address that the machine advertises.
func TestJoinOverTLS(t *testing.T) {
	s := serve(t)
	p := servePeers(t, s, io.Discard, overTLS)
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: testCA().Pool()}}).DialContext(ctx, "tcp", addr)
	}
	answer, err := Join(t.Context(), dial, p.addr, JoinRequest{MemberID: 5, Name: "n5", PeerURL: "https://127.0.0.1:7005", ClientURL: "https://127.0.0.1:4005"})
	if err != nil {
		t.Fatal(err)
	}
	want := store.Member{ID: 5, Name: "n5", PeerURL: "https://127.0.0.1:7005", ClientURL: "https://127.0.0.1:4005"}
	if answer.ClusterID != 77 || len(answer.Members) != 2 || answer.Members[0] != want && answer.Members[1] != want {
		t.Errorf("%+v", answer)
	}
}
