package transport

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"etcd/version"
)

const (
	cluster = 0xc1
	alice   = 0xa1 // the dialer
	bob     = 0xb0 // the accepting side

	// patience bounds every wait of a test.
	patience = time.Minute
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

func testConfig(member uint64) Config {
	return Config{
		ClusterID: cluster,
		MemberID:  member,
		Addr:      "127.0.0.1:7001",
		Secret:    []byte{byte(member)},
		Commands:  version.Range{Min: 1, Max: 2},
		Snapshots: version.Range{Min: 1, Max: 2},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		Heartbeat: 50 * time.Millisecond,
		Dead:      500 * time.Millisecond,
		Log:       slog.New(slog.DiscardHandler),
	}
}

// patientConfig is for tests that block a peer on purpose, and for those that are not about
// silence: on a busy host there is some.
func patientConfig(member uint64) Config {
	cfg := testConfig(member)
	cfg.Dead = time.Minute
	return cfg
}

// logBuffer collects a log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	line chan struct{} // a line was written
}

func newLog() (*logBuffer, *slog.Logger) {
	b := &logBuffer{line: make(chan struct{}, 1000)}
	return b, slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	b.line <- struct{}{}
	return len(p), nil
}

// waitFor waits for a line that contains all words.
func (b *logBuffer) waitFor(t *testing.T, words ...string) {
	t.Helper()
	contains := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
	lines:
		for line := range strings.Lines(b.text.String()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return true
		}
		return false
	}
	for !contains() {
		receive(t, b.line, "a log line with "+strings.Join(words, ", "))
	}
}

// machine is the accepting side in a test.
type machine struct {
	addr     string
	receiver *Receiver
	frames   chan delivered
	listener net.Listener
	serving  sync.WaitGroup
}

type delivered struct {
	from uint64
	Frame
}

// machineConfig overrides the defaults of a machine.
type machineConfig struct {
	Config
	addr    string
	admit   func(h Hello) (status int, message string)
	judge   Admit // instead of admit
	ask     func(ctx context.Context, addr, token string) (Presence, error)
	deliver func(from uint64, f Frame)
	offered func(from uint64, message []byte) error
	receive func(from uint64, message []byte, size int64, body io.Reader) error
	others  []Place
	trusted []string // known addresses, of any member

	certified   Certified
	uncertified error // result of the certificate check of presence requests
}

func welcome(Hello) (int, string) { return 0, "" }

func startMachine(t testing.TB, cfg machineConfig) *machine {
	t.Helper()
	m := &machine{frames: make(chan delivered, 100_000)}
	if cfg.Dial == nil {
		cfg.Config = testConfig(bob)
	}
	if cfg.addr == "" {
		cfg.addr = "127.0.0.1:0"
	}
	if cfg.admit == nil {
		cfg.admit = welcome
	}
	if cfg.deliver == nil {
		cfg.deliver = func(from uint64, f Frame) { m.frames <- delivered{from, f} }
	}
	if cfg.offered == nil {
		cfg.offered = func(uint64, []byte) error { return nil }
	}
	if cfg.judge == nil {
		cfg.judge = func(h Hello) Verdict {
			status, message := cfg.admit(h)
			return Verdict{Status: status, Message: message}
		}
	}
	deliver := func(from uint64, f Frame) error {
		cfg.deliver(from, f)
		return nil
	}
	m.receiver = NewReceiver(cfg.Config, cfg.judge, cfg.ask, deliver)
	server := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			switch string(ctx.Path()) {
			case StreamPath:
				m.receiver.Stream(ctx, cfg.certified)
			case SnapshotPath:
				m.receiver.Snapshot(ctx, cfg.certified, Intake{Offered: cfg.offered, Receive: cfg.receive})
			case PresencePath:
				m.receiver.Presence(ctx, func(string) error { return cfg.uncertified }, cfg.others,
					func(uint64) []string { return cfg.trusted })
			}
		},
		ReadTimeout:  patience,
		WriteTimeout: patience,
	}
	var err error
	if m.listener, err = net.Listen("tcp", cfg.addr); err != nil {
		t.Fatal(err)
	}
	m.addr = m.listener.Addr().String()
	// fasthttp's own Serve leaves a goroutine behind for ten seconds.
	m.serving.Go(func() {
		for {
			c, err := m.listener.Accept()
			if err != nil {
				return
			}
			m.serving.Go(func() { _ = server.ServeConn(c) }) // tests check the error at the dialer
		}
	})
	t.Cleanup(m.stop)
	return m
}

func (m *machine) stop() {
	_ = m.listener.Close()
	m.receiver.Close()
	m.serving.Wait()
}

// dialler is a Sender in a test, with the events that it has reported.
type dialler struct {
	*Sender
	up      chan time.Time
	down    chan error
	gone    chan time.Time
	refused chan RefusedError
	trips   chan time.Duration
}

func startSender(t testing.TB, cfg Config, addr string, class Class, limit int) *dialler {
	t.Helper()
	d := &dialler{up: make(chan time.Time, 1000), down: make(chan error, 1000), gone: make(chan time.Time, 1000), refused: make(chan RefusedError, 1000), trips: make(chan time.Duration, 100_000)}
	d.Sender = NewSender(cfg, bob, addr, class, limit, Events{
		Up:      func() { d.up <- time.Now() },
		Down:    func(err error) { d.down <- err },
		Gone:    func() { d.gone <- time.Now() },
		Refused: func(_ string, status int, message string) { d.refused <- RefusedError{status, message} },

		RoundTrip: func(took time.Duration) { d.trips <- took },
	})
	t.Cleanup(d.Close)
	return d
}

// connect starts a Sender and waits until it is connected.
func connect(t testing.TB, cfg Config, addr string, class Class, limit int) *dialler {
	t.Helper()
	d := startSender(t, cfg, addr, class, limit)
	receive(t, d.up, "a stream")
	return d
}

func (d *dialler) mustSend(t *testing.T, text string) {
	t.Helper()
	if !d.Send(Frame{KindRaft, []byte(text)}) {
		t.Fatalf("%q was dropped: %+v", text, d.Stats())
	}
}

// receive waits for a value on a channel.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// mistreatment edits the bytes at an offset of a connection; false cuts the connection.
type mistreatment func(p *proxy, offset int64, b []byte) bool

// proxy stands between two machines and mistreats what passes.
type proxy struct {
	addr     string
	hole     atomic.Bool  // drop everything, keep connections open
	mistreat mistreatment // of what the dialer sends; may be nil
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
	closed   bool
}

func startProxy(t *testing.T, target string, mistreat mistreatment) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), mistreat: mistreat, listener: l}
	p.running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			if !p.keep(in, out) {
				return
			}
			p.running.Go(func() { p.pass(out, in, p.mistreat) })
			p.running.Go(func() { p.pass(in, out, nil) })
		}
	})
	t.Cleanup(p.close)
	return p
}

// keep remembers connections for close.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	p.conns = append(p.conns, conns...)
	return true
}

func (p *proxy) pass(to, from net.Conn, mistreat mistreatment) {
	b := make([]byte, 32<<10)
	offset := int64(0)
	for {
		n, err := from.Read(b)
		if p.hole.Load() {
			if err != nil {
				return // without closing the other connection
			}
			continue
		}
		cut := mistreat != nil && !mistreat(p, offset, b[:n])
		offset += int64(n)
		if !cut && n > 0 {
			_, werr := to.Write(b[:n])
			cut = werr != nil
		}
		if cut || err != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	_ = p.listener.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// flip flips bits of the byte at an offset of each connection.
func flip(at int64) mistreatment {
	return func(_ *proxy, offset int64, b []byte) bool {
		if offset <= at && at < offset+int64(len(b)) {
			b[at-offset] ^= 0x10
		}
		return true
	}
}

// cut cuts each connection at an offset.
func cut(at int64) mistreatment {
	return func(_ *proxy, offset int64, b []byte) bool { return offset+int64(len(b)) < at }
}
