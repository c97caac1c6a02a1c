package grpcfront

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"etcd/actors"
)

// APIVersion is the version of etcd whose API this is, and storageVersion that of its storage. Clients decide by
// them what they may ask for.
const (
	APIVersion     = "3.7.3"
	storageVersion = "3.7.0"
)

// maintenance is the service Maintenance.
type maintenance struct {
	pb.UnimplementedMaintenanceServer
	*Server
}

// Status implements [pb.MaintenanceServer].
func (s *maintenance) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	m, err := s.admit(ctx, everybody)
	if err != nil {
		return nil, err
	}
	reply, err := s.status(ctx, m)
	if err != nil {
		return nil, err
	}
	now, raft := m.Applied(), &reply.Raft
	a := &pb.StatusResponse{
		Header:  &pb.ResponseHeader{},
		Version: APIVersion, StorageVersion: storageVersion,
		DbSize: int64(now.Size), DbSizeInUse: int64(now.Size), DbSizeQuota: int64(reply.Quota),
		Leader: raft.Leader, RaftTerm: raft.Term, RaftIndex: raft.Commit, RaftAppliedIndex: max(raft.Applied, now.Last),
		IsLearner:     slices.Contains(raft.Learners, raft.MemberID),
		DowngradeInfo: &pb.DowngradeInfo{},
	}
	setHeader(a.Header, m, now.Revision)
	if raft.Leader == 0 {
		a.Errors = []string{status.Convert(rpctypes.ErrGRPCNoLeader).Message()}
	}
	return a, nil
}

// status returns a summary of the machine.
func (s *Server) status(ctx context.Context, m *actors.Machine) (*actors.StatusReply, error) {
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	return call.status(ctx, m)
}

func (s *session) status(ctx context.Context, m *actors.Machine) (*actors.StatusReply, error) {
	answer, err := s.ask(ctx, m.Raft, &actors.Status{ID: s.expect(), ReplyTo: s.pid})
	if err != nil {
		return nil, err
	}
	reply := answer.(*actors.StatusReply)
	if reply.Err != nil {
		return nil, errorOf(reply.Err)
	}
	return reply, permitted(m)
}
