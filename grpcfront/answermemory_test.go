package grpcfront_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"etcd/grpcfront"
	"etcd/httpfront/fronttest"
)

// deaf is a connection that reads nothing any more from some moment on.
type deaf struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
	now    chan struct{} // closed at that moment
}

func (d *deaf) Read(p []byte) (int, error) {
	select {
	case <-d.now:
		<-d.closed
		return 0, net.ErrClosed
	default:
		return d.Conn.Read(p)
	}
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

// eventually polls for what nothing signals.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(fronttest.Timeout); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Answers that clients do not take are bounded together: others are told that there is no room, until those
// connections have ended. One answer may be larger than all of it.
func TestAnswerMemory(t *testing.T) {
	const value = 1 << 20
	s := serve(t, func(c *grpcfront.Config) { c.MaxAnswerMemory = value / 2 })
	c, ctx := s.dial(), within(t)
	if _, err := c.Put(ctx, &pb.PutRequest{Key: []byte("large"), Value: make([]byte, value)}); err != nil {
		t.Fatal(err)
	}
	get := &pb.RangeRequest{Key: []byte("large")}
	if a, err := c.Range(ctx, get); err != nil || len(a.Kvs) != 1 {
		t.Fatalf("the only answer: %v", err)
	}
	stops := make(chan struct{})
	conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(
		func(ctx context.Context, addr string) (net.Conn, error) {
			raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			return &deaf{Conn: raw, closed: make(chan struct{}), now: stops}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	close(stops)
	hung := make(chan error, 1)
	go func() {
		_, err := pb.NewKVClient(conn).Range(ctx, get)
		hung <- err
	}()
	eventually(t, "the answer is kept", func() bool { return s.AnswerBytes() >= value })
	for name, do := range map[string]func() error{
		"a range": func() error { _, err := c.Range(ctx, get); return err },
		"a transaction": func() error {
			_, err := c.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: get}}}})
			return err
		},
		"a stream": func() error {
			stream, err := c.RangeStream(ctx, get)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		wantError(t, name, do(), rpctypes.ErrGRPCRequestTooManyRequests)
	}
	if _, err := c.Range(ctx, &pb.RangeRequest{Key: []byte("large"), CountOnly: true}); err != nil {
		t.Errorf("a small answer: %v", err)
	}
	conn.Close()
	<-hung
	eventually(t, "nothing is kept", func() bool { return s.AnswerBytes() == 0 })
	if _, err := c.Range(ctx, get); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
