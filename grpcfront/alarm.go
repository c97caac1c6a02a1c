package grpcfront

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Alarm implements [pb.MaintenanceServer]. Nothing raises an alarm yet, so that there is none to list; etcdctl
// wants to know before it calls an endpoint healthy.
func (s *maintenance) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	m, err := s.admit(ctx, voters)
	if err != nil {
		return nil, err
	}
	if r.GetAction() != pb.AlarmRequest_GET {
		return s.UnimplementedMaintenanceServer.Alarm(ctx, r)
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	if err := call.sync(ctx, m); err != nil {
		return nil, err
	}
	a := &pb.AlarmResponse{Header: &pb.ResponseHeader{}}
	setHeader(a.Header, m, m.Applied().Revision)
	return a, permitted(m)
}
