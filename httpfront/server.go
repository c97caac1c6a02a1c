package httpfront

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/listen"
	"etcd/passwords"
	"etcd/store"
)

// Limits that an operator has no reason to change.
const (
	maxHeader    = store.MaxPath // bytes of request line and headers
	writeTimeout = time.Minute   // writing an answer

	// peerTimeout replaces these timeouts at a peer port: it bounds reading a request,
	// a TLS handshake included; the wait for the next request of a connection; and writing an
	// answer. Streams and snapshots have deadlines of their own.
	peerTimeout = 5 * time.Second
	// maxEvicted bounds the requests there that are still being served although their
	// connections were evicted, and no longer count.
	maxEvicted = 256

	// maxReports bounds the bytes that answers about the machine keep in memory, see MaxAnswerMemory.
	maxReports = 16 << 20

	// stopGrace is how long connections stay open at a stop, for requests that were sent
	// before it and have not arrived yet.
	stopGrace = 200 * time.Millisecond
)

// Config is the configuration of a port.
type Config struct {
	// Port is the name of the port, for metrics: "client" if it is empty, "peer" at a peer port.
	Port string
	// Peer marks the peer port, which is for the other machines of the cluster: it serves no web
	// pages, and its timeouts are shorter.
	Peer bool
	// Trusted marks a port for those who run the machine: users and roles do not matter there, nor at a
	// peer port.
	Trusted bool
	// Passwords verifies those of the users; nil: one that makes hashes of the default cost.
	Passwords *passwords.Checker
	// URL is the address that is advertised for this port.
	URL string
	// Hosts are the names that requests may have in Host, besides localhost, IP addresses and
	// the host of URL; "*" stands for all. CheckHost refuses requests with any other, at all
	// listeners.
	Hosts     []string
	CheckHost bool
	// CORS lists the origins whose pages may use the API; "*" stands for all. At the peer
	// port it is ignored.
	CORS []string
	// MaxConnections bounds open connections, watches included.
	MaxConnections int
	// MaxPerAddress bounds those of one address, or IPv6 /64; 0: that is no bound.
	MaxPerAddress int
	// MaxPending bounds those of them, at a peer port, that were not admitted yet. It
	// is less than MaxConnections.
	MaxPending int
	// MaxInFlight bounds the requests that wait for the machine; 0: nothing but MaxConnections does.
	MaxInFlight int
	// MaxWatchers bounds the watches of all connections; 0: they are not bounded.
	MaxWatchers int
	// MaxBody bounds the body of a request, in bytes.
	MaxBody int
	// MaxBodyMemory bounds the bytes of the bodies of all requests in flight, beyond the
	// first 4 KiB of each. It is at least MaxBody.
	MaxBodyMemory int64
	// MaxListing bounds the nodes in a listing.
	MaxListing int
	// MaxAnswerMemory bounds the bytes that answers keep in memory until their clients have taken them,
	// but for small ones.
	MaxAnswerMemory int64
	// HeaderTimeout bounds the time until the headers of a request have arrived, with what belongs to
	// the first 16 KiB of it; BodyTimeout that until the rest of its body has, beyond a second for each
	// 16 KiB; IdleTimeout that between two requests of a connection. A peer port has its own.
	HeaderTimeout, BodyTimeout, IdleTimeout time.Duration
	// RequestTimeout is how long a request may take, except for a watch that waits for its
	// event. It is the same as the request timeout that raftnode has in ticks.
	RequestTimeout time.Duration
	// Slow is how long a request may take before it is logged; 0: none is.
	Slow time.Duration
	// HTTP2 serves the clients that speak HTTP/2; nil: they are refused.
	HTTP2 HTTP2
	// TLS is the configuration of the listeners that are not plain; nil: all of them are.
	TLS *tls.Config
	Log *slog.Logger
}

// Listener is one of the listeners of a port.
type Listener struct {
	net.Listener
	// Plain says that it serves plain HTTP, also if the port has TLS.
	Plain bool
	// CheckHost refuses requests there with any other name in Host than those of the port.
	CheckHost bool
}

// Server serves one port, at all addresses that it has.
type Server struct {
	cfg     Config
	log     *slog.Logger
	slow    *slog.Logger // of slow requests, bounded
	http    *fasthttp.Server
	routes  []served
	pages   *pagePolicy
	metrics *metrics

	// Set by Attach before attached is closed, and not to be used before that.
	attached chan struct{}
	machine  *actors.Machine
	root     *actor.RootContext
	mailbox  actor.MailboxProducer

	supervisor actor.SupervisorStrategy

	port     *listen.Port
	stopping atomic.Bool
	stopped  chan struct{} // closed with stopping
	plain    atomic.Bool   // a listener is plain
	lastID   atomic.Uint64
	inFlight allowance // requests
	watchers allowance
	bodies   allowance // bytes, beyond the first of each
	answers  answerMemory
	reports  answerMemory // of answers that say how the machine is doing
	views    heldViews
	renders  chan struct{}  // a semaphore: the goroutines that are rendering a piece
	poller   listen.Poller  // of the connections that are parked
	idles    aging[*conn]   // those of them that wait for a request
	begun    aging[*conn]   // the same, those that wait for their first one and those that have sent a part of it
	stalled  stalled        // those with a goroutine that waits for the client
	waking   waking         // those whose request has arrived, and is not direct
	directs  sync.Pool      // *direct
	unserved sync.WaitGroup // connections in use that fasthttp does not count: they are parked for a watch, or were parked
	http2    http2Counts    // those that were handed over
	rendered atomic.Pointer[rendered]

	quiet     aging[*following] // streams to which nothing is being written
	deadAfter time.Duration     // a client that takes nothing of its stream
	pieces    sync.Pool         // *piece
	shared    [sharedEvents]atomic.Pointer[sharedEvent]
	streams   atomic.Int64 // those that share them
}

// New returns the server of a port, with the given routes. It can serve before there is a
// machine, see Attach.
func New(cfg Config, routes []Route) *Server {
	cfg.Port = cmp.Or(cfg.Port, "client")
	if cfg.Peer {
		cfg.CORS, cfg.Port = nil, "peer"
	} else {
		cfg.MaxPending = 0
	}
	if cfg.Passwords == nil {
		cfg.Passwords = passwords.New(passwords.DefaultCost)
	}
	metrics := newMetrics()
	s := &Server{
		cfg:        cfg,
		log:        cfg.Log,
		slow:       slowLog(cfg.Log),
		routes:     serveRoutes(cfg.Port, routes, metrics),
		metrics:    metrics,
		pages:      newPagePolicy(&cfg),
		attached:   make(chan struct{}),
		stopped:    make(chan struct{}),
		supervisor: actors.StopOnPanic(cfg.Log),
		inFlight:   allowance{limit: int64(cfg.MaxInFlight)},
		watchers:   allowance{limit: int64(cfg.MaxWatchers)},
		bodies:     allowance{limit: cfg.MaxBodyMemory},
		renders:    make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		directs:    sync.Pool{New: func() any { return newDirect() }},
		pieces:     sync.Pool{New: newPiece},
		deadAfter:  streamTimes.deadAfter,
	}
	ofAnswers := func() int64 { return s.budget(cfg.MaxAnswerMemory) }
	s.answers.limit = ofAnswers
	s.reports.limit = func() int64 { return maxReports }
	s.views = heldViews{limit: ofAnswers, replaced: func() int64 { return s.machine.Replaced() }}
	s.idles = aging[*conn]{after: cfg.IdleTimeout, due: func(c *conn) { _ = c.end() }} // there is nobody left to tell
	s.begun = aging[*conn]{after: cfg.HeaderTimeout, due: (*conn).tooSlow}
	s.stalled.Limit, s.stalled.Evicted = maxStalled, (*conn).loseTime
	s.quiet = aging[*following]{after: streamTimes.heartbeatEvery, due: func(f *following) {
		s.root.Send(s.machine.Hub, &actors.Beat{Subscriber: f.id}) // what that leads to is written, and adds it again
	}}
	s.waking = waking{free: maxWaking, serve: func(c *conn) {
		c.beIdle()
		if err := s.http.ServeConn(c); err != nil { // it is the client's, as in Serve
			s.http.Logger.Printf("error when serving connection %q<->%q: %v", c.LocalAddr(), c.RemoteAddr(), err)
		}
	}}
	s.port = listen.NewPort(listen.Config{
		MaxConnections: cfg.MaxConnections, MaxPerHost: cfg.MaxPerAddress, MaxPending: cfg.MaxPending, Peer: cfg.Peer,
		WriteRefusal: s.writeRefusal, Log: cfg.Log,
	})
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.badRequest,
		Logger:                       fasthttpLogger{cfg.Log},
		HeaderReceived:               headerReceived,
		ExpectHandler:                s.expectBody,
		ReadBufferSize:               maxHeader,
		StreamRequestBody:            true,
		MaxRequestBodySize:           1, // bytes read before the handler is called; readBody reads the rest
		ReadTimeout:                  cfg.HeaderTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  cfg.IdleTimeout,
		Concurrency:                  2 * cfg.MaxConnections, // it goes on counting connections for a moment after their end
		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		ConnState:                    connState,
	}
	if cfg.Peer {
		s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = peerTimeout, peerTimeout, peerTimeout
		// Connections that were evicted while a request was served no longer count at the
		// port, but fasthttp counts them until the request ends, which takes bounded time.
		s.http.Concurrency += maxEvicted
	}
	return s
}

// Attach gives the server its machine, once. Before that it answers what it can without
// one (which version this is, that it is not healthy), and all other requests wait for the
// machine, for the request timeout at most: opening a large data directory takes a while,
// and joining a cluster may take forever.
func (s *Server) Attach(machine *actors.Machine) {
	kind := "session"
	if s.cfg.Port != "client" {
		kind = s.cfg.Port + kind
	}
	// Sessions only pass an answer on, or write it without waiting, so they do it on the goroutine
	// of its sender, whose time it is.
	sessions := machine.UntimedKind(kind)
	s.machine, s.root, s.mailbox = machine, machine.System.Root, sessions.Inline()
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

// waitForMachine waits for the machine until the deadline or a stop, and reports whether
// there is one.
func (s *Server) waitForMachine(deadline time.Time) bool {
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

// newPoller makes the poller of a server. The tests have another one.
var newPoller = listen.NewPoller

// Serve serves the connections of all listeners until Shutdown, and returns nil then. It is
// called once.
func (s *Server) Serve(listeners ...Listener) error {
	var err error
	if s.poller, err = newPoller(); err != nil {
		s.log.Warn("each idle connection and each watch takes a goroutine", "error", err)
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		overTLS := s.cfg.TLS
		if l.Plain || overTLS == nil {
			overTLS = nil
			s.plain.Store(true)
		}
		accepting := connListener{s.port.Listen(l.Listener, overTLS), s, l.CheckHost || s.cfg.CheckHost}
		go func() { ended <- s.http.Serve(accepting) }()
	}
	for range listeners {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// Shutdown stops accepting connections, lets requests in flight finish, ends all watches
// with an answer, and waits for that until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.port.Drain()
	if s.stopping.CompareAndSwap(false, true) { // a client that is told to dial again must not reach this server again
		close(s.stopped)
	}
	if s.isAttached() {
		s.machine.CloseWatches()
	}
	select {
	case <-time.After(stopGrace):
	case <-ctx.Done():
	}
	for _, c := range append(s.idles.close(), s.begun.close()...) {
		_ = c.end() // there is nobody left to tell
	}
	s.quiet.close()
	s.port.CloseIdle()
	http2 := make(chan error, 1)
	go func() { http2 <- s.shutdownHTTP2(ctx) }()
	err := s.http.ShutdownWithContext(ctx)
	answered := make(chan struct{})
	go func() {
		s.unserved.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	err = errors.Join(err, <-http2)
	if s.poller != nil {
		err = errors.Join(err, s.poller.Close())
	}
	return err
}

// writeRefusal writes the answer to a connection that is one too many. A client of HTTP/2 sees from it that
// this server does not speak that now, and backs off: one that was greeted as HTTP/2 has it, and then
// sent away, would take the connection for one that worked, and dial again at once.
func (s *Server) writeRefusal(to io.Writer, why listen.Refusal) error {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	setHeaders(resp, s.pages.defaultHeaders)
	HTTPError(http.StatusServiceUnavailable, string(why)).Write(resp)
	resp.SetConnectionClose()
	_, err := resp.WriteTo(to)
	return err
}
