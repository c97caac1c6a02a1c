package grpcfront_test

import (
	"context"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"etcd/actors"
	"etcd/grpcfront"
	"etcd/httpfront/fronttest"
)

func TestMain(m *testing.M) { fronttest.Main(m) }

// server is a server on a machine that is a cluster of its own.
type server struct {
	*grpcfront.Server
	t       testing.TB
	addr    string
	machine *actors.Machine
	clock   *fronttest.Clock
}

func config() grpcfront.Config {
	cfg := grpcfront.Defaults()
	cfg.RequestTimeout, cfg.HeaderTimeout = fronttest.Timeout, fronttest.Timeout
	return cfg
}

// serve serves a machine of its own, which has started.
func serve(t testing.TB, edit ...func(*grpcfront.Config)) *server {
	t.Helper()
	s := serveWithout(t, edit...)
	s.clock = fronttest.NewClock()
	s.machine = fronttest.StartMachine(t, s.clock.Reading)
	t.Cleanup(s.shutDown)
	s.Attach(s.machine)
	return s
}

// serveWithout serves without a machine.
func serveWithout(t testing.TB, edit ...func(*grpcfront.Config)) *server {
	t.Helper()
	log := &fronttest.LogBuffer{}
	cfg := config()
	cfg.Log = log.Logger()
	for _, e := range edit {
		e(&cfg)
	}
	l := fronttest.Loopback(t)
	s := &server{Server: grpcfront.New(cfg), t: t, addr: l.Addr().String()}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.Serve(conn)
		}
	}()
	t.Cleanup(func() {
		s.shutDown()
		_ = l.Close()
		<-accepted
		if text := log.Take(); text != "" {
			t.Errorf("logged:\n%s", text)
		}
	})
	return s
}

func (s *server) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), fronttest.Timeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		s.t.Errorf("shutdown: %v", err)
	}
}

// client is the services over one connection.
type client struct {
	pb.KVClient
	pb.ClusterClient
	pb.MaintenanceClient
	pb.WatchClient
	conn *grpc.ClientConn
}

func (s *server) dial() *client {
	s.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(
		func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
	))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &client{pb.NewKVClient(conn), pb.NewClusterClient(conn), pb.NewMaintenanceClient(conn), pb.NewWatchClient(conn), conn}
}

// await polls for a condition that nothing signals.
func (s *server) await(what string, ok func() bool) {
	s.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(fronttest.Timeout); !ok(); <-poll.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

// awaitCommit waits until an entry is committed.
func (s *server) awaitCommit(index uint64) {
	s.t.Helper()
	s.await("committed", func() bool { return s.machine.LastStatus().Commit >= index })
}
