package grpcfront_test

import (
	"context"
	"io"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"etcd/actors"
	"etcd/grpcfront"
	"etcd/httpfront/fronttest"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/version"
)

// enableUsers are the commands that turn users and roles on.
func enableUsers() [][]byte {
	auth := func(a *storepb.Auth) []byte {
		return store.Encode(&storepb.Command{Kind: &storepb.Command_Auth{Auth: a}})
	}
	return [][]byte{
		auth(&storepb.Auth{Change: &storepb.Auth_CreateUser{CreateUser: &storepb.CreateUser{Name: "root", Hash: "x"}}}),
		auth(&storepb.Auth{Change: &storepb.Auth_Enable{Enable: &storepb.Enable{}}}),
	}
}

func everyCall(ctx context.Context, c *client) map[string]error {
	all := make(map[string]error)
	_, all["put"] = c.Put(ctx, &pb.PutRequest{Key: []byte("a")})
	_, all["range"] = c.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
	_, all["local range"] = c.Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	_, all["delete"] = c.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")})
	_, all["txn"] = c.Txn(ctx, &pb.TxnRequest{})
	_, all["compact"] = c.Compact(ctx, &pb.CompactionRequest{})
	_, all["status"] = c.Status(ctx, &pb.StatusRequest{})
	_, all["members"] = c.MemberList(ctx, &pb.MemberListRequest{})
	stream, err := c.RangeStream(ctx, &pb.RangeRequest{Key: []byte("a")})
	if err == nil {
		if _, err = stream.Recv(); err == nil {
			if _, err = stream.Recv(); err == io.EOF {
				err = nil
			}
		}
	}
	all["stream"] = err
	return all
}

// The users of v2 have no rights to the keys of v3.
func TestUsersOn(t *testing.T) {
	s := serve(t)
	c := s.dial()
	for what, err := range everyCall(t.Context(), c) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, command := range enableUsers() {
		if reply := fronttest.Propose(t, s.machine, command); reply.Err != nil || reply.Result.Failure != nil {
			t.Fatal(reply)
		}
	}
	for what, err := range everyCall(t.Context(), c) {
		wantError(t, what, err, rpctypes.ErrGRPCPermissionDenied)
	}
	h, err := grpc_health_v1.NewHealthClient(c.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || h.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", h, err)
	}
}

// What was let in before users and roles were turned on is refused if that comes first in the log.
func TestUsersTurnedOn(t *testing.T) {
	s := serve(t)
	c := s.dial()
	if _, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	release := fronttest.Block(t, s.machine)
	committed := s.machine.LastStatus().Commit
	for _, command := range enableUsers() {
		s.machine.System.Root.Send(s.machine.Raft, &actors.Propose{Command: command})
	}
	s.awaitCommit(committed + 2)
	refused := make(chan error, 2)
	go func() {
		_, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: []byte("x")})
		refused <- err
	}()
	s.awaitCommit(committed + 3)
	go func() {
		_, err := c.Range(t.Context(), &pb.RangeRequest{Key: []byte("a")})
		refused <- err
	}()
	s.await("two calls in flight", func() bool { return s.InFlight() == 2 })
	release()
	wantError(t, "one", <-refused, rpctypes.ErrGRPCPermissionDenied)
	wantError(t, "the other", <-refused, rpctypes.ErrGRPCPermissionDenied)
}

func TestInFlight(t *testing.T) {
	s := serve(t, func(c *grpcfront.Config) { c.MaxInFlight = 1 })
	c := s.dial()
	release := fronttest.Block(t, s.machine)
	ends := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := c.Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
			ends <- err
		}()
	}
	wantError(t, "one too many", <-ends, rpctypes.ErrGRPCRequestTooManyRequests)
	release()
	if err := <-ends; err != nil {
		t.Errorf("the other: %v", err)
	}
}

// Nobody gets an answer that came too late for somebody else.
func TestTimeouts(t *testing.T) {
	s := serve(t, func(c *grpcfront.Config) { c.RequestTimeout = time.Millisecond })
	c := s.dial()
	for _, key := range []string{"a", "b"} {
		if _, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	release := fronttest.Block(t, s.machine)
	_, err := c.Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	wantError(t, "no answer", err, rpctypes.ErrGRPCTimeout)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = c.Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the client's deadline: %v", err)
	}
	s.await("nothing in flight", func() bool { return s.InFlight() == 0 })
	release()
	for range 3 {
		got, err := c.Range(t.Context(), &pb.RangeRequest{Key: []byte("b"), Serializable: true})
		if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Key) != "b" {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestNotCapable(t *testing.T) {
	s := serveWithout(t, func(c *grpcfront.Config) { c.RequestTimeout = time.Millisecond })
	s.machine = fronttest.StartMachine(t, fronttest.NewClock().Reading, func(c *actors.Config) {
		c.Commands = version.Range{Min: 1, Max: store.VersionOfV3 - 1}
	})
	t.Cleanup(s.shutDown)
	s.Attach(s.machine)
	c := s.dial()
	for what, err := range everyCall(t.Context(), c) {
		wantError(t, what, err, rpctypes.ErrGRPCNotCapable)
	}
}

// Calls wait for a machine that is still starting.
func TestBeforeTheMachine(t *testing.T) {
	s := serveWithout(t)
	c := s.dial()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Put(t.Context(), &pb.PutRequest{Key: []byte("a")})
		ended <- err
	}()
	s.machine = fronttest.StartMachine(t, fronttest.NewClock().Reading)
	t.Cleanup(s.shutDown)
	s.Attach(s.machine)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestMetadata(t *testing.T) {
	for name, tc := range map[string]struct {
		md     metadata.MD
		leader bool
		want   error
	}{
		"nothing":                   {nil, false, nil},
		"a leader is not there":     {metadata.Pairs("hasleader", "true"), false, rpctypes.ErrGRPCNoLeader},
		"a leader is there":         {metadata.Pairs("hasleader", "true"), true, nil},
		"no leader is needed":       {metadata.Pairs("hasleader", "false"), false, nil},
		"a version":                 {metadata.Pairs("client-api-version", "3.7"), true, nil},
		"a version that is no text": {metadata.Pairs("client-api-version", "3\xff"), true, rpctypes.ErrGRPCInvalidClientAPIVersion},
	} {
		wantError(t, name, grpcfront.CheckMetadata(metadata.NewIncomingContext(t.Context(), tc.md), tc.leader), tc.want)
	}
}
