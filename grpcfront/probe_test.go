package grpcfront_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"etcd/grpcfront"
	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/ops"
)

// probe is a service whose calls wait, and tell who has called. Its messages are those of health.
type probe struct {
	called  chan struct{} // receives when a call waits
	release chan struct{} // ends the calls that wait
}

func newProbe() *probe { return &probe{make(chan struct{}, 10), make(chan struct{})} }

type prober interface {
	wait(ctx context.Context) error
}

func (p *probe) wait(ctx context.Context) error {
	p.called <- struct{}{}
	select {
	case <-p.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unary(do func(p prober, ctx context.Context) (string, error)) grpc.MethodHandler {
	return func(p any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(&grpc_health_v1.HealthCheckRequest{}); err != nil {
			return nil, err
		}
		text, err := do(p.(prober), ctx)
		return &grpc_health_v1.HealthCheckRequest{Service: text}, err
	}
}

var probeService = grpc.ServiceDesc{
	ServiceName: "probe", HandlerType: (*prober)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Wait", Handler: unary(func(p prober, ctx context.Context) (string, error) { return "done", p.wait(ctx) })},
		{MethodName: "Name", Handler: unary(func(_ prober, ctx context.Context) (string, error) {
			from, _ := peer.FromContext(ctx)
			state, ok := from.AuthInfo.(interface {
				TLS() (tls.ConnectionState, bool)
			}).TLS()
			if !ok {
				return from.AuthInfo.AuthType(), nil
			}
			return state.VerifiedChains[0][0].Subject.CommonName, nil
		})},
	},
}

// call calls a method of the probe.
func call(ctx context.Context, c *grpc.ClientConn, method string) (string, error) {
	var answer grpc_health_v1.HealthCheckRequest
	err := c.Invoke(ctx, "/probe/"+method, &grpc_health_v1.HealthCheckRequest{}, &answer)
	return answer.Service, err
}

// served is a client port without a machine, with gRPC.
type served struct {
	*fronttest.Server
	*probe
	grpc   *grpcfront.Server
	target string
}

func serveProbe(t testing.TB, edit ...func(*httpfront.Config)) *served {
	t.Helper()
	return serveProbeOn(t, fronttest.Loopback(t), edit...)
}

func serveProbeOn(t testing.TB, l net.Listener, edit ...func(*httpfront.Config)) *served {
	t.Helper()
	cfg := fronttest.Config()
	for _, e := range edit {
		e(&cfg)
	}
	if cfg.TLS != nil {
		cfg.TLS.NextProtos = []string{"http/1.1", "h2"}
	}
	s := &served{probe: newProbe(), target: "passthrough:" + l.Addr().String()}
	if l.Addr().Network() == "unix" {
		s.target = "unix:" + l.Addr().String()
	}
	front := config()
	front.HeaderTimeout, front.Log = cfg.HeaderTimeout, slog.New(slog.DiscardHandler)
	s.grpc = grpcfront.NewWith(front, func(r grpc.ServiceRegistrar) {
		r.RegisterService(&probeService, s.probe)
	})
	cfg.HTTP2 = s.grpc
	s.Server = fronttest.ServeWithout(t, l, cfg, ops.Version(ops.Release{Version: "v9", API: "3.7.3"}))
	return s
}

// dial returns a gRPC client; without TLS if cfg is nil.
func (s *served) dial(cfg *tls.Config) *grpc.ClientConn {
	s.T.Helper()
	creds := insecure.NewCredentials()
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.ServerName = "127.0.0.1"
		creds = credentials.NewTLS(cfg)
	}
	c, err := grpc.NewClient(s.target, grpc.WithTransportCredentials(creds))
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { _ = c.Close() })
	return c
}

// within is a context for what must happen.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), fronttest.Timeout)
	t.Cleanup(cancel)
	return ctx
}
