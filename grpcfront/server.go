package grpcfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"etcd/actors"
)

// What clients of etcd rely on as long as nobody sets anything else.
const (
	// DefaultMaxRequest bounds what a request may be to be proposed, in bytes.
	DefaultMaxRequest = 1_572_864
	// DefaultMaxTxnOps is how many comparisons a transaction may have, and how many operations either of its lists.
	DefaultMaxTxnOps = 128
	// DefaultMaxAnswerMemory bounds what answers keep until their clients have taken them, in bytes.
	DefaultMaxAnswerMemory = 256 << 20
	// DefaultMaxStreams is how many calls a connection may have in flight.
	DefaultMaxStreams = math.MaxUint32
	// DefaultPingEvery is how often a client may ping, and only while it has a stream.
	DefaultPingEvery = 5 * time.Second
	// DefaultPingAfter is how long a connection is silent before its client is pinged, and DefaultPingTimeout how
	// long that may take to answer.
	DefaultPingAfter, DefaultPingTimeout = 2 * time.Hour, 20 * time.Second
)

const (
	// messageRoom is how many bytes a message may have more than a request: one that is a little too large gets an
	// answer of the API, and not of gRPC.
	messageRoom   = 512 << 10
	maxHeaderList = 64 << 10 // bytes of the headers of a stream
)

// How the server is tuned: what it costs a call is most of what the call costs.
const (
	// streamWindow and connWindow are how many bytes a client may send before they are read. If they were not
	// fixed, the library would measure with a ping and an update for nearly every request what they should be.
	streamWindow, connWindow = 512 << 10, 1 << 20
	// workers are goroutines that serve calls one after the other, so that not every call has to grow a stack. When
	// all of them wait, a call gets a goroutine of its own.
	workers = 128
)

// Config is the configuration of a server.
type Config struct {
	// RequestTimeout is how long the machine may take to answer a request. It ends those that need other machines
	// by itself then.
	RequestTimeout time.Duration
	// MaxInFlight is how many requests may be in flight, 0 for any number.
	MaxInFlight int
	// MaxRequest, MaxTxnOps, MaxStreams, PingEvery, PingAfter and PingTimeout are as their defaults say.
	MaxRequest, MaxTxnOps             int
	MaxStreams                        uint32
	PingEvery, PingAfter, PingTimeout time.Duration
	// MaxAnswerMemory bounds what answers keep until their clients have taken them, in bytes, but for small ones.
	MaxAnswerMemory int64
	// HeaderTimeout bounds the time until the first frame of a connection has arrived.
	HeaderTimeout time.Duration
	Log           *slog.Logger
}

// Defaults returns a configuration in which only what depends on the machine is missing.
func Defaults() Config {
	return Config{
		MaxRequest: DefaultMaxRequest, MaxTxnOps: DefaultMaxTxnOps, MaxStreams: DefaultMaxStreams,
		PingEvery: DefaultPingEvery, PingAfter: DefaultPingAfter, PingTimeout: DefaultPingTimeout,
		MaxAnswerMemory: DefaultMaxAnswerMemory,
	}
}

// Server serves the connections that it is given.
type Server struct {
	cfg     Config
	grpc    *grpc.Server
	conns   *conns
	health  *health
	answers *answerMemory
	places  *places
	// methods count the calls. It does not change once the server has started.
	methods methods

	// Set by Attach before attached is closed, and not to be used before that.
	attached chan struct{}
	machine  *actors.Machine
	sessions *sessions
	settled  time.Time // when the machine has had time to learn, or raise, the version of its cluster

	stopping context.Context // ends when a stop begins
	stop     context.CancelFunc
}

// New returns a server, which serves at once. It can serve before there is a machine, see Attach.
func New(cfg Config) *Server {
	s := newServer(cfg)
	s.start()
	return s
}

func newServer(cfg Config) *Server {
	s := &Server{cfg: cfg, conns: newConns(cfg.PingTimeout), methods: make(methods), attached: make(chan struct{})}
	s.answers, s.places = &answerMemory{limit: cfg.MaxAnswerMemory}, newPlaces()
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(
		grpc.Creds(handshaken{}),
		grpc.ConnectionTimeout(cfg.HeaderTimeout),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.MaxRecvMsgSize(cfg.MaxRequest+messageRoom),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(cfg.MaxStreams),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: cfg.PingEvery}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: cfg.PingAfter, Timeout: cfg.PingTimeout}),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.NumStreamWorkers(workers),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	s.register()
	return s
}

// start begins to serve. All services are registered before.
func (s *Server) start() {
	s.methods.add(s.grpc.GetServiceInfo())
	go func() {
		if err := s.grpc.Serve(s.conns); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.cfg.Log.Error("gRPC is not served any more; please report this message", "error", err)
		}
	}()
}

// register registers the services: each has a type of its own, in files of its own. One that needs the
// machine waits for attached first.
func (s *Server) register() {
	s.health = newHealth(s.stopping)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	pb.RegisterKVServer(s.grpc, &kv{Server: s})
	pb.RegisterClusterServer(s.grpc, &cluster{Server: s})
	pb.RegisterMaintenanceServer(s.grpc, &maintenance{Server: s})
}

// Attach gives the server its machine, once. The server is healthy from when that is ready.
func (s *Server) Attach(machine *actors.Machine) {
	s.machine, s.sessions = machine, s.newSessions(machine)
	s.settled = time.Now().Add(s.cfg.RequestTimeout)
	close(s.attached)
	go func() {
		select {
		case <-machine.Ready:
			s.health.serving()
		case <-s.stopping.Done():
		}
	}()
}

// errStopped ends the calls that would otherwise wait until the end of a stop.
var errStopped = rpctypes.ErrGRPCStopped

// Serve serves a connection, whose client has begun to speak HTTP/2 or has chosen it in its TLS
// handshake. It does not wait for its end.
func (s *Server) Serve(c net.Conn) { s.conns.add(c) }

// Shutdown tells all clients to dial another machine, lets the calls in flight finish until ctx ends,
// and then cuts them off. Connections that come later are closed.
func (s *Server) Shutdown(ctx context.Context) (err error) {
	s.health.Shutdown()
	s.stop()
	s.conns.closeSilent()
	over := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
		err = fmt.Errorf("gRPC: %w", ctx.Err())
		s.conns.cutOff() // the gRPC server would wait for those that have sent nothing yet
		s.grpc.Stop()
		<-over
	}
	return err
}
