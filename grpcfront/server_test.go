package grpcfront_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"etcd/grpcfront"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// The machine says by health when it is ready, at each kind of listener; who watches that is told
// and, at a stop, does not hold it up.
func TestHealth(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"clear": func(*httpfront.Config) {}, "tls": fronttest.WithTLS, "unix": nil} {
		t.Run(name, func(t *testing.T) {
			l := net.Listener(nil)
			if mode == nil {
				var err error
				if l, err = net.Listen("unix", filepath.Join(t.TempDir(), "s")); err != nil {
					t.Fatal(err)
				}
				mode = func(*httpfront.Config) {}
			} else {
				l = fronttest.Loopback(t)
			}
			s := serveProbeOn(t, l, mode)
			ctx := within(t)
			c := grpc_health_v1.NewHealthClient(s.dial(s.TLS))
			watch, err := c.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			next := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
				t.Helper()
				r, err := watch.Recv()
				if err != nil {
					t.Fatal(err)
				}
				return r.Status
			}
			if got := next(); got != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
				t.Errorf("without a machine: %s", got)
			}
			machine := fronttest.StartMachine(t, fronttest.NewClock().Reading)
			s.Attach(machine)
			s.grpc.Attach(machine)
			if got := next(); got != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("with a machine: %s", got)
			}
			if r, err := c.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil || r.Status != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("%v, %v", r, err)
			}
			_, err = c.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "other"})
			wantCode(t, "health of another service", err, codes.NotFound)
			if err := s.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
			for err == nil || status.Code(err) == codes.NotFound {
				_, err = watch.Recv()
			}
			wantCode(t, "the watch", err, codes.Unavailable)
		})
	}
}

// An RPC that is not there, and a request that is too large, are errors of gRPC.
func TestErrors(t *testing.T) {
	s := serveProbe(t)
	ctx, c := within(t), s.dial(nil)
	_, err := call(ctx, c, "Missing")
	wantCode(t, "a missing method", err, codes.Unimplemented)
	wantCode(t, "a missing service", c.Invoke(ctx, "/etcdserverpb.Missing/Put", &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{}), codes.Unimplemented)
	health := grpc_health_v1.NewHealthClient(c)
	const most = grpcfront.DefaultMaxRequest + 512<<10
	for size, want := range map[int]codes.Code{most - 5: codes.NotFound, most: codes.ResourceExhausted} { // the tag and the length take some
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: strings.Repeat("x", size)})
		wantCode(t, "a large request", err, want)
	}
}

// Handlers are told who the client is.
func TestAuthInfo(t *testing.T) {
	s := serveProbe(t)
	if name, err := call(within(t), s.dial(nil), "Name"); err != nil || name != "insecure" {
		t.Errorf("in the clear: %q, %v", name, err)
	}
	s = serveProbe(t, fronttest.WithClientCerts)
	cfg := s.TLS.Clone()
	cfg.Certificates = []tls.Certificate{fronttest.CA().Issue("alice").TLS()}
	if name, err := call(within(t), s.dial(cfg), "Name"); err != nil || name != "alice" {
		t.Errorf("with a certificate: %q, %v", name, err)
	}
	_, err := call(within(t), s.dial(s.TLS), "Name")
	wantCode(t, "without a certificate", err, codes.Unavailable)
}

// Clients of HTTP get HTTP/1.1 if they can do that, and an error if not.
func TestHTTPClients(t *testing.T) {
	for _, test := range []struct {
		name   string
		tls    bool
		edit   func(*http.Protocols)
		proto  string
		status int
	}{
		{"clear", false, func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }, "HTTP/1.1", 200},
		{"clear with prior knowledge", false, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "HTTP/2.0", 415},
		{"TLS", true, func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }, "HTTP/1.1", 200},
		{"TLS with HTTP/2 alone", true, func(p *http.Protocols) { p.SetHTTP2(true) }, "HTTP/2.0", 415},
	} {
		t.Run(test.name, func(t *testing.T) {
			mode, scheme := func(*httpfront.Config) {}, "http"
			if test.tls {
				mode, scheme = fronttest.WithTLS, "https"
			}
			s := serveProbe(t, mode)
			transport := &http.Transport{TLSClientConfig: s.TLS, Protocols: new(http.Protocols)}
			defer transport.CloseIdleConnections()
			test.edit(transport.Protocols)
			resp, err := (&http.Client{Transport: transport, Timeout: fronttest.Timeout}).Get(scheme + "://" + s.Addr + "/version")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.Proto != test.proto || resp.StatusCode != test.status {
				t.Errorf("%s, status %d, %s, %v; want %s, %d", resp.Proto, resp.StatusCode, body, err, test.proto, test.status)
			}
		})
	}
}

// A client that speaks in the clear to a port with TLS, or the other way round, learns that at once.
func TestWrongTransport(t *testing.T) {
	clear, secured := serveProbe(t), serveProbe(t, fronttest.WithTLS)
	_, err := call(within(t), clear.dial(secured.TLS), "Name")
	wantCode(t, "TLS at a port without", err, codes.Unavailable)
	_, err = call(within(t), secured.dial(nil), "Name")
	wantCode(t, "no TLS at a port with it", err, codes.Unavailable)
}

// A client that is one too many learns that at once, and is served when there is room.
func TestTooMany(t *testing.T) {
	for name, mode := range map[string]func(*httpfront.Config){"clear": func(*httpfront.Config) {}, "tls": fronttest.WithTLS} {
		t.Run(name, func(t *testing.T) {
			s := serveProbe(t, mode, func(c *httpfront.Config) { c.MaxConnections = 1 })
			first := s.Dial()
			fronttest.Check(t, first.Get("/"), 200, "etcd v9")
			c := s.dial(s.TLS)
			health := grpc_health_v1.NewHealthClient(c)
			_, err := health.Check(within(t), &grpc_health_v1.HealthCheckRequest{})
			wantCode(t, "one too many", err, codes.Unavailable)
			_ = first.Close()
			if _, err = health.Check(within(t), &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Too many pings end a connection.
func TestPings(t *testing.T) {
	s := serveProbe(t)
	c := s.Dial()
	f := http2.NewFramer(c.Conn, c.In)
	c.Send("%s", http2.ClientPreface)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := f.WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("no GOAWAY: %v", err)
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok {
			if away.ErrCode != http2.ErrCodeEnhanceYourCalm || string(away.DebugData()) != "too_many_pings" {
				t.Errorf("%s, %s", away.ErrCode, away.DebugData())
			}
			return
		}
	}
}

// stop stops a server, and returns what it says.
func (s *served) stop() chan error {
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	return stopped
}

// A stop waits for the calls in flight; their clients have been told to go elsewhere.
func TestStop(t *testing.T) {
	s := serveProbe(t)
	c := s.dial(nil)
	answered := make(chan error, 1)
	go func() {
		text, err := call(within(t), c, "Wait")
		if err == nil && text != "done" {
			err = errors.New("answer " + text)
		}
		answered <- err
	}()
	<-s.called
	stopped := s.stop()
	for state := c.GetState(); state == connectivity.Ready; state = c.GetState() {
		if !c.WaitForStateChange(within(t), state) {
			t.Fatal("the client was not told")
		}
	}
	_, err := call(within(t), c, "Name")
	wantCode(t, "a call at the stop", err, codes.Unavailable)
	if len(answered) > 0 || len(stopped) > 0 {
		t.Fatal("the call in flight was cut off")
	}
	close(s.release)
	if err := errors.Join(<-answered, <-stopped); err != nil {
		t.Error(err)
	}
}

// A stop cuts off what has not ended in time, be it a call or a client that sends nothing.
func TestStopInTime(t *testing.T) {
	s := serveProbe(t)
	answered := make(chan error, 1)
	go func() {
		_, err := call(within(t), s.dial(nil), "Wait")
		answered <- err
	}()
	<-s.called
	silent := s.Dial()
	silent.Send("%s", http2.ClientPreface)
	if _, err := silent.In.ReadByte(); err != nil { // its settings: it has been handed over
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	wantCode(t, "the call", <-answered, codes.Unavailable)
	if _, err := io.Copy(io.Discard, silent.In); err != nil && !errors.Is(err, net.ErrClosed) {
		var reset interface{ Timeout() bool }
		if errors.As(err, &reset) && reset.Timeout() {
			t.Error("the silent connection is still open")
		}
	}
}
