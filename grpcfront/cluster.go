package grpcfront

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd/actors"
	"etcd/store"
)

// cluster is the service Cluster.
type cluster struct {
	pb.UnimplementedClusterServer
	*Server
}

// MemberList implements [pb.ClusterServer].
func (s *cluster) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	m, err := s.admit(ctx, voters)
	if err != nil {
		return nil, err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	if r.GetLinearizable() {
		if err := call.sync(ctx, m); err != nil {
			return nil, err
		}
	}
	reply, err := call.status(ctx, m)
	if err != nil {
		return nil, err
	}
	a := &pb.MemberListResponse{Header: &pb.ResponseHeader{}, Members: make([]*pb.Member, len(reply.Members))}
	setHeader(a.Header, m, 0)
	for i, member := range reply.Members {
		a.Members[i] = memberOf(member, slices.Contains(reply.Raft.Learners, member.ID))
	}
	return a, nil
}

func memberOf(m store.Member, learner bool) *pb.Member {
	a := &pb.Member{ID: m.ID, Name: m.Name, PeerURLs: []string{m.PeerURL}, IsLearner: learner}
	if m.ClientURL != "" {
		a.ClientURLs = []string{m.ClientURL}
	}
	return a
}

// sync waits until the local state has all that was acknowledged before.
func (s *session) sync(ctx context.Context, m *actors.Machine) error {
	answer, err := s.ask(ctx, m.Raft, &actors.Sync{ID: s.expect(), ReplyTo: s.pid})
	if err != nil {
		return err
	}
	if err := answer.(*actors.Synced).Err; err != nil {
		return errorOf(err)
	}
	return nil
}
