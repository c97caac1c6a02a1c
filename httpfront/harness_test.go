package httpfront

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"etcd/actors"
	"etcd/credentials/certtest"
	"etcd/listen"
	"etcd/raftnode"
	"etcd/store"
	"etcd/wal"
	"etcd/wal/vfs"
)

// patience bounds every wait of a test for something that must happen.
const patience = time.Minute

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock for the Date header runs as long as the process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// The one that looks for idle workers ends at its next look, after ten seconds.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// A message to an actor that has gone starts a goroutine of the actor library
		// that ends by itself after a second.
		goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
	)
}

// fakeClock is a wall time that moves only when it is told to, and can be made to panic.
type fakeClock struct {
	now    atomic.Uint64
	broken atomic.Bool
}

func (c *fakeClock) read() store.Time {
	if c.broken.Load() {
		panic("the clock is broken")
	}
	return store.Time(c.now.Load())
}

// reading is what a machine reads: it does not break.
func (c *fakeClock) reading() raftnode.Reading {
	now := c.now.Load()
	return raftnode.Reading{Mono: now, Wall: now}
}

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.now.Store(uint64(store.TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))))
	return c
}

// records is a log that keeps what is wrong.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *records) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.buf.String()
	r.buf.Reset()
	return s
}

// testServer serves a machine of its own on the loopback interface.
type testServer struct {
	*Server
	t     testing.TB
	addr  string
	clock *fakeClock // of machine and server
	log   *records
	tls   *tls.Config // of clients; nil: plain HTTP
	stop  func() error
}

func testConfig(clock *fakeClock) Config {
	return Config{Version: "v9", MaxConnections: 1000, MaxBody: 64 << 10, MaxBodyMemory: 256 << 10, RequestTimeout: patience, Clock: clock.read}
}

func startMachine(t testing.TB, clock func() raftnode.Reading) *actors.Machine {
	t.Helper()
	fsys, err := vfs.SharedDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk, err := actors.OpenDisk(fsys, wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Create(wal.Identity{ClusterID: 77, MemberID: 11}); err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	log := slog.New(slog.DiscardHandler)
	machine, err := actors.Start(actors.Config{
		Member:       store.Member{Name: "m1", PeerURL: "http://127.0.0.1:7001", ClientURL: "http://127.0.0.1:4001"},
		HistoryLimit: 1000,
		Tick:         10 * time.Millisecond,
		Host: actors.Process(func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("there are no other machines here")
		}),
		Clock: clock,
		Log:   log,
		Raft: raftnode.Config{
			HeartbeatTicks: 1, ElectionTicks: 10, RequestTicks: 2000, MaxMembers: 9,
			SnapshotBytes: 64 << 20, CatchUpEntries: 50, FirstProposalID: 1, Log: log,
		},
	}, disk)
	if err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	t.Cleanup(func() {
		if err := machine.Stop(context.Background()); err != nil {
			t.Errorf("stop of the machine: %v", err)
		}
	})
	select {
	case <-machine.Ready:
	case <-time.After(patience):
		t.Fatal("the machine did not become ready")
	}
	return machine
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// testCA signs the certificates of these tests.
var testCA = sync.OnceValue(func() *certtest.CA { return certtest.New("test") })

// overTLS makes a server speak TLS.
func overTLS(c *Config) {
	c.TLS = &tls.Config{Certificates: []tls.Certificate{testCA().Issue("server").TLS()}}
}

// server starts a server for a test, which runs in two modes.
type server func(t testing.TB, edit ...func(*Config)) *testServer

// inBothModes runs a test with plain HTTP and over TLS.
func inBothModes(t *testing.T, test func(t *testing.T, serve server)) {
	t.Run("plain", func(t *testing.T) { test(t, serve) })
	t.Run("tls", func(t *testing.T) {
		test(t, func(t testing.TB, edit ...func(*Config)) *testServer {
			t.Helper()
			return serve(t, append(edit, overTLS)...)
		})
	})
}

func serve(t testing.TB, edit ...func(*Config)) *testServer {
	t.Helper()
	return serveOn(t, loopback(t), edit...)
}

func serveOn(t testing.TB, l net.Listener, edit ...func(*Config)) *testServer {
	t.Helper()
	s := &testServer{t: t, addr: l.Addr().String(), clock: newFakeClock(), log: &records{}}
	// The machine's own clock goes on, so that a broken one breaks the server only.
	machine := startMachine(t, s.clock.reading)
	cfg := testConfig(s.clock)
	cfg.Log = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	for _, e := range edit {
		e(&cfg)
	}
	if cfg.TLS != nil {
		s.tls = &tls.Config{RootCAs: testCA().Pool()}
	}
	s.Server = NewClients(cfg)
	s.Attach(machine)
	s.logTime = s.clock.read
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	s.stop = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return errors.Join(s.Shutdown(ctx), <-served)
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if log := s.log.take(); log != "" {
			t.Errorf("logged:\n%s", log)
		}
	})
	return s
}

// exchange asks the machine as a handler does.
func (s *testServer) exchange() *Exchange {
	return &Exchange{server: s.Server, session: s.sessionOf(&conn{Conn: &listen.Conn{}}), Deadline: time.Now().Add(patience)}
}

func (s *testServer) status() *actors.StatusReply {
	s.t.Helper()
	status, err := s.exchange().Status()
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

// eventually waits for a condition for which there is nothing to wait on. Each look
// is behind a request, so it does not spin.
func (s *testServer) eventually(what string, ok func() bool) {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	for deadline := time.Now().Add(patience); !ok(); c.get("/version") {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s *testServer) watchers(n int64) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d watchers", n), func() bool { return s.machine.Watchers() == n })
}

// client is a raw connection.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (s *testServer) dial() *client {
	s.t.Helper()
	return s.dialAs(s.tls)
}

// dialAs connects with another TLS configuration than the usual one, or without TLS.
func (s *testServer) dialAs(cfg *tls.Config) *client {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.ServerName = "127.0.0.1"
		conn = tls.Client(conn, cfg)
	}
	return newClient(s.t, conn)
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	return &client{conn, t, bufio.NewReader(conn)}
}

type reply struct {
	status int
	header http.Header
	close  bool
	body   string
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads the answer to a request of the given method.
func (c *client) reply(method string) reply {
	c.t.Helper()
	r, err := readReply(c.in, method)
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	return r
}

func readReply(in *bufio.Reader, method string) (reply, error) {
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, resp.Close, string(body)}, err
}

func rawRequest(method, target, body string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: x\r\n"
	if body != "" {
		mediaType := urlencoded
		if body[0] == '{' {
			mediaType = TypeJSON
		}
		head += fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", mediaType, len(body))
	}
	return head + "\r\n" + body
}

func (c *client) do(method, target, body string) reply {
	c.t.Helper()
	c.send("%s", rawRequest(method, target, body))
	return c.reply(method)
}

func (c *client) get(target string) reply { c.t.Helper(); return c.do("GET", target, "") }

// set writes a key and returns the body of the answer.
func (c *client) set(key, body string) string {
	c.t.Helper()
	r := c.do("POST", "/v1/keys"+key, body)
	if r.status != http.StatusOK {
		c.t.Fatalf("set %s: %d %s", key, r.status, r.body)
	}
	return r.body
}

// ended fails the test unless the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("the connection goes on with %q, %v; want its end", rest, err)
	}
}

func check(t *testing.T, got reply, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("got  %d %s\nwant %d %s", got.status, got.body, status, body)
	}
	want := TypeJSON
	if !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
		want = TypeText
	}
	if ct := got.header.Get("Content-Type"); ct != want {
		t.Errorf("content type %q, want %q", ct, want)
	}
}
