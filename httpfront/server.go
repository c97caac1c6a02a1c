package httpfront

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/listen"
	"etcd/store"
)

const timeFormat = time.RFC3339Nano

// Limits that an operator has no reason to change.
const (
	maxHeader    = store.MaxPath    // bytes of request line and headers
	readTimeout  = time.Minute      // one request, from its first byte to the end of its body
	writeTimeout = time.Minute      // one answer
	idleTimeout  = 10 * time.Minute // between two requests of a connection

	// stopGrace is how long connections stay open at a stop for requests that were
	// sent before it and are still on the way.
	stopGrace = 200 * time.Millisecond
)

// Config is what the client side of a machine needs.
type Config struct {
	// Version is what /version answers behind "etcd ".
	Version string
	// LocalReads answers reads from local state unless the client asks otherwise.
	LocalReads bool
	// URL is where those whom this port serves are told to reach it.
	URL string
	// Hosts are the names by which it may be called in Host, besides localhost, IP addresses
	// and the host of URL; "*" stands for all. CheckHost refuses requests with another one.
	Hosts     []string
	CheckHost bool
	// CORS lists the origins whose pages may use the API; "*" stands for all. The port for
	// other machines is for none.
	CORS []string
	// MaxConnections bounds open connections, watches included.
	MaxConnections int
	// MaxNewcomers bounds those of them, at the port for machines, over which nobody was let
	// in yet. It is less than MaxConnections.
	MaxNewcomers int
	// MaxBody bounds the body of a request, in bytes.
	MaxBody int
	// MaxBodyMemory bounds the bytes of all bodies under way, beyond the first 4 KiB of
	// each. It is at least MaxBody.
	MaxBodyMemory int64
	// RequestTimeout is how long a request may take, a watch that waits for its event
	// excepted. It is what Raft's request timeout is in ticks.
	RequestTimeout time.Duration
	// TLS is the configuration of the port; nil for plain HTTP.
	TLS *tls.Config
	// Certified checks whether the certificate of a machine that has been verified in a
	// handshake names a host. Its error is for people on both sides. Nil if machines are not
	// verified; nobody asks at the port for clients.
	Certified func(state tls.ConnectionState, host string) error
	// Clock is the time since 1970 by which is counted how long something lasts: it does
	// not jump while the process runs.
	Clock func() store.Time
	// LostLogLines is how many lines of the log could not be written; nil for none.
	LostLogLines func() uint64
	Log          *slog.Logger
}

// Server serves clients.
type Server struct {
	cfg     Config
	log     *slog.Logger
	kind    string // of its sessions
	http    *fasthttp.Server
	routes  []Route
	pages   *pages
	started store.Time

	// Set by Attach before attached is closed, and not to be used before that.
	attached chan struct{}
	machine  *actors.Machine
	root     *actor.RootContext
	mailbox  actor.MailboxProducer
	logTime  func() store.Time // deadlines are moments in it

	dispatcher actor.Dispatcher
	supervisor actor.SupervisorStrategy

	port      *listen.Port
	stopping  atomic.Bool
	stopped   chan struct{} // closed with stopping
	lastID    atomic.Uint64
	asking    chan struct{} // holds one for each request of fewAtATime
	hashes    hashes
	memberIPs memberIPs
	bodies    bodyMemory
	hijacked  sync.WaitGroup // connections in the hands of a watch
}

// NewClients makes the server for clients. It can serve before there is a machine, see
// Attach.
func NewClients(cfg Config) *Server {
	cfg.MaxNewcomers = 0
	return newServer(cfg, "session", clientRoutes(), false)
}

// NewPeers makes the server for the other machines of the cluster.
func NewPeers(cfg Config) *Server {
	cfg.CORS = nil
	s := newServer(cfg, "peersession", peerRoutes(), true)
	s.asking = make(chan struct{}, maxAsking)
	s.hashes.turn = make(chan struct{}, 1)
	s.memberIPs.now = time.Now
	s.memberIPs.lookUp = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = peerTime, peerTime, peerTime
	// Those who were dismissed while they were answered are not counted, but end in time.
	s.http.Concurrency += maxDismissed
	return s
}

func newServer(cfg Config, kind string, routes []Route, peers bool) *Server {
	s := &Server{
		cfg:      cfg,
		log:      cfg.Log,
		kind:     kind,
		routes:   routes,
		pages:    newPages(&cfg, peers),
		started:  cfg.Clock(),
		attached: make(chan struct{}),
		stopped:  make(chan struct{}),
		// Sessions only pass an answer on, so they do it where it is sent.
		dispatcher: actor.NewSynchronizedDispatcher(1),
		supervisor: actors.StopOnPanic(cfg.Log),
		bodies:     bodyMemory{limit: cfg.MaxBodyMemory},
	}
	s.port = listen.NewPort(listen.Config{
		MaxConnections: cfg.MaxConnections, MaxNewcomers: cfg.MaxNewcomers, TLS: cfg.TLS, Machines: peers,
		Crowded: s.writeCrowded, Log: cfg.Log,
	})
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.badRequest,
		Logger:                       fasthttpLogger{cfg.Log},
		HeaderReceived:               heedExpectation,
		ExpectHandler:                s.expectBody,
		ReadBufferSize:               maxHeader,
		StreamRequestBody:            true,
		MaxRequestBodySize:           1, // so much is read before the handler; readBody does the rest
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		Concurrency:                  cfg.MaxConnections,
		KeepHijackedConns:            true,
		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		ConnState:                    connState,
	}
	return s
}

// Attach gives the server its machine, once. Before that it answers what it can without
// one (which version this is, that it is not healthy), and lets everything else wait for
// the machine, for the request timeout at most: opening a large data directory takes a
// while, and joining a cluster may take for ever.
func (s *Server) Attach(machine *actors.Machine) {
	sessions := machine.Kind(s.kind)
	sessions.Untimed = true // they pass an answer on
	s.machine, s.root, s.mailbox = machine, machine.System.Root, sessions.Mailbox()
	s.logTime = machine.LogTime
	close(s.attached)
}

func (s *Server) isAttached() bool {
	select {
	case <-s.attached:
		return true
	default:
		return false
	}
}

// waitForMachine waits until there is a machine, or until the deadline or a stop: false
// then.
func (s *Server) waitForMachine(deadline time.Time) bool {
	if s.isAttached() {
		return true
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case <-s.attached:
		return true
	case <-timeout.C:
	case <-s.stopped:
	}
	return false
}

// Serve answers clients until Shutdown. It returns nil then.
func (s *Server) Serve(l net.Listener) error {
	return s.http.Serve(accepting{s.port.Listen(l)})
}

// Shutdown stops accepting, answers what is under way and all watchers, and waits
// for that until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.port.Drain()
	if s.stopping.CompareAndSwap(false, true) { // whoever is told to dial again must not reach us again
		close(s.stopped)
	}
	if s.isAttached() {
		s.machine.CloseWatches()
	}
	select {
	case <-time.After(stopGrace):
	case <-ctx.Done():
	}
	s.port.CloseQuiet()
	err := s.http.ShutdownWithContext(ctx)
	answered := make(chan struct{})
	go func() {
		s.hijacked.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return err
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// writeCrowded tells a connection that it is one too many.
func (s *Server) writeCrowded(to io.Writer) error {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	setHeaders(resp, s.pages.others)
	HTTPError(http.StatusServiceUnavailable, "too many connections").Write(resp)
	resp.SetConnectionClose()
	_, err := resp.WriteTo(to)
	return err
}

// badRequest answers what fasthttp could not read.
func (s *Server) badRequest(ctx *fasthttp.RequestCtx, err error) {
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	s.unreadable(ctx, err).Write(&ctx.Response)
}

// heedExpectation has fasthttp ask expectBody before it waits for a body, whatever the client
// expects and however it writes that. A client of HTTP/1.0 is not told to go on: to that one
// it would be the answer.
func heedExpectation(h *fasthttp.RequestHeader) (unchanged fasthttp.RequestConfig) {
	switch {
	case !h.IsHTTP11():
		h.Del(fasthttp.HeaderExpect)
	case expectsSomething(h):
		h.Set(fasthttp.HeaderExpect, continues)
	}
	return unchanged
}

// expectBody decides whether a client that asks first shall send its body.
func (s *Server) expectBody(ctx *fasthttp.RequestCtx) (status int) {
	refusal := s.unwelcome(ctx)
	switch {
	case refusal != nil:
	case expectsMore(&ctx.Request.Header):
		refusal = s.unreadable(ctx, errExpectation)
	case ctx.Request.Header.ContentLength() > s.cfg.MaxBody:
		refusal = s.unreadable(ctx, errBodyTooLong)
	default:
		return http.StatusContinue
	}
	setHeaders(&ctx.Response, s.pages.headers(&ctx.Request.Header))
	refusal.Write(&ctx.Response)
	return refusal.Status
}

// unwelcome refuses a request that is not even to be read to its end.
func (s *Server) unwelcome(ctx *fasthttp.RequestCtx) *Error {
	if refusal := s.unclear(ctx); refusal != nil {
		return refusal
	}
	refusal := s.pages.refuse(ctx)
	if refusal != nil {
		endWithAnswer(ctx)
	}
	return refusal
}

// unclear refuses a request in another version of HTTP, and one of which it is not certain
// where it ends.
func (s *Server) unclear(ctx *fasthttp.RequestCtx) *Error {
	if !speaksVersion(&ctx.Request.Header) {
		return s.unreadable(ctx, errVersion)
	}
	why := ambiguous(&ctx.Request.Header)
	if why == "" {
		return nil
	}
	refusal := s.unreadable(ctx, nil)
	refusal.Cause += ": " + why
	return refusal
}

// endWithAnswer ends the connection after the answer. What is still to come of the request is
// thrown away.
func endWithAnswer(ctx *fasthttp.RequestCtx) {
	ctx.Conn().(*conn).Linger()
	ctx.SetConnectionClose()
}

// unreadable words why a request cannot be read. Its connection ends, because nobody
// knows where the next one begins.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) *Error {
	endWithAnswer(ctx)
	var (
		small  *fasthttp.ErrSmallBuffer
		netErr net.Error
	)
	switch {
	case errors.Is(err, listen.ErrPlain) && s.pages.peers:
		return HTTPError(http.StatusBadRequest, "this port speaks only TLS; the machines of this cluster are started with -serverCert and -serverKey")
	case errors.Is(err, listen.ErrPlain):
		return HTTPError(http.StatusBadRequest, "this port speaks only TLS; ask with https://")
	case errors.Is(err, listen.ErrTLS):
		return HTTPError(http.StatusBadRequest, "this port speaks plain HTTP; ask with http://")
	case errors.Is(err, errVersion):
		return HTTPError(http.StatusHTTPVersionNotSupported, "this server speaks HTTP/1.1 and HTTP/1.0")
	case errors.Is(err, errExpectation):
		return HTTPError(http.StatusExpectationFailed, "this server can only be expected to send 100-continue")
	case errors.Is(err, errBodyTooLong) && s.pages.peers:
		return HTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("this port is for the other machines of the cluster, which send at most %d bytes", s.cfg.MaxBody))
	case errors.Is(err, errBodyTooLong):
		return HTTPError(http.StatusRequestEntityTooLarge, "the limit is set by -max-body")
	case errors.Is(err, errBodyMemory):
		return HTTPError(http.StatusServiceUnavailable,
			"the bodies of all requests under way are too large together; nothing was done. The limit is set by -max-body-memory")
	case errors.As(err, &small) && !ctx.Conn().(*conn).gotLine:
		return uriTooLong()
	case errors.As(err, &small):
		return HTTPError(http.StatusRequestHeaderFieldsTooLarge, "request line and headers are too long")
	case errors.As(err, &netErr) && netErr.Timeout():
		return HTTPError(http.StatusRequestTimeout, "the request did not arrive in time")
	}
	return HTTPError(http.StatusBadRequest, "the request cannot be read")
}

// fasthttpLogger keeps what fasthttp says about single clients out of the way.
type fasthttpLogger struct{ log *slog.Logger }

func (l fasthttpLogger) Printf(format string, args ...any) {
	l.log.Debug("http: " + fmt.Sprintf(format, args...))
}
