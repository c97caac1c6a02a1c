package fronttest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/credentials/certtest"
	"etcd/httpfront"
)

// Server serves a port, for a test.
type Server struct {
	*httpfront.Server
	T       testing.TB
	Addr    string
	Clock   *Clock // of the machine
	Machine *actors.Machine
	Log     *LogBuffer
	TLS     *tls.Config // of clients; nil: plain HTTP
	Stop    func() error
}

// Config returns a configuration with limits that a test can reach.
func Config() httpfront.Config {
	return httpfront.Config{
		MaxConnections: 1000, MaxBody: 64 << 10, MaxBodyMemory: 256 << 10, MaxAnswerMemory: 256 << 20, MaxListing: 1000, RequestTimeout: Timeout,
		HeaderTimeout: Timeout, BodyTimeout: Timeout, IdleTimeout: 10 * Timeout,
	}
}

// Loopback listens on a port that the kernel chooses.
func Loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// CA returns the authority that signs the certificates of these tests.
var CA = sync.OnceValue(func() *certtest.CA { return certtest.New("test") })

// WithTLS configures a server for TLS.
func WithTLS(c *httpfront.Config) {
	c.TLS = &tls.Config{Certificates: []tls.Certificate{CA().Issue("server").TLS()}}
}

// WithClientCerts configures a server for TLS with client certificates.
func WithClientCerts(c *httpfront.Config) {
	WithTLS(c)
	c.TLS.ClientAuth, c.TLS.ClientCAs = tls.RequireAndVerifyClientCert, CA().Pool()
}

// Serve starts a machine and serves a client port, whose routes may read the clock of
// the machine. The test fails if the server logs anything that the test does not take.
func Serve(t testing.TB, l net.Listener, cfg httpfront.Config, routes func(*Clock) []httpfront.Route) *Server {
	t.Helper()
	clock, log := NewClock(), &LogBuffer{}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	s := serve(t, l, StartMachine(t, clock.Reading), cfg, routes(clock))
	s.Clock, s.Log = clock, log
	t.Cleanup(func() {
		if log := s.Log.Take(); log != "" {
			t.Errorf("logged:\n%s", log)
		}
	})
	return s
}

// ServePeerPort serves a peer port, with the machine of s, and logs everything to log.
func (s *Server) ServePeerPort(l net.Listener, log io.Writer, cfg httpfront.Config, routes []httpfront.Route) *Server {
	s.T.Helper()
	cfg.Peer = true
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := serve(s.T, l, s.Machine, cfg, routes)
	p.Clock = s.Clock
	return p
}

func serve(t testing.TB, l net.Listener, machine *actors.Machine, cfg httpfront.Config, routes []httpfront.Route) *Server {
	t.Helper()
	s := ServeWithout(t, l, cfg, routes)
	s.Machine = machine
	s.Attach(machine)
	return s
}

// ServeWithout serves a client port that has no machine before Attach.
func ServeWithout(t testing.TB, l net.Listener, cfg httpfront.Config, routes []httpfront.Route) *Server {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Server: httpfront.New(cfg, routes), T: t, Addr: l.Addr().String()}
	if cfg.TLS != nil {
		s.TLS = &tls.Config{RootCAs: CA().Pool()}
	}
	served := make(chan error, 1)
	go func() { served <- s.Server.Serve(httpfront.Listener{Listener: l}) }()
	s.Stop = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), Timeout)
		defer cancel()
		return errors.Join(s.Shutdown(ctx), <-served)
	})
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

// Status returns the status of the machine.
func (s *Server) Status() *actors.StatusReply {
	s.T.Helper()
	return ask[*actors.StatusReply](s.T, s.Machine, s.Machine.Raft, func(replyTo *actor.PID) any { return &actors.Status{ReplyTo: replyTo} })
}

// Read reads a key from the local state of the machine.
func (s *Server) Read(path string) *actors.ReadReply {
	s.T.Helper()
	return ask[*actors.ReadReply](s.T, s.Machine, s.Machine.Store, func(replyTo *actor.PID) any { return &actors.Read{ReplyTo: replyTo, Path: path} })
}

// Eventually polls for a condition that nothing signals. It sends a request between two
// polls, so it does not spin.
func (s *Server) Eventually(what string, ok func() bool) {
	s.T.Helper()
	c := s.Dial()
	defer c.Close()
	for deadline := time.Now().Add(Timeout); !ok(); c.Get("/version") {
		if time.Now().After(deadline) {
			s.T.Fatalf("never: %s", what)
		}
	}
}

// WaitForWatchers waits until there are n watchers.
func (s *Server) WaitForWatchers(n int64) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%d watchers", n), func() bool { return s.Machine.Watchers() == n })
}

// Dial connects as a client does.
func (s *Server) Dial() *Client {
	s.T.Helper()
	return s.DialAs(s.TLS)
}

// DialAs connects with another TLS configuration than that of s, or without TLS if cfg is
// nil.
func (s *Server) DialAs(cfg *tls.Config) *Client {
	s.T.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.T.Fatal(err)
	}
	return s.over(conn, cfg)
}

// Over makes a client of a connection to s.
func (s *Server) Over(conn net.Conn) *Client {
	s.T.Helper()
	return s.over(conn, s.TLS)
}

func (s *Server) over(conn net.Conn, cfg *tls.Config) *Client {
	s.T.Helper()
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.ServerName = "127.0.0.1"
		conn = tls.Client(conn, cfg)
	}
	return NewClient(s.T, conn)
}
