package grpcfront

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"etcd/store/mvcc"
)

// unary counts a call, and what its answer keeps.
func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	m := s.methods[info.FullMethod]
	m.started.Add(1)
	m.received.Add(1)
	if answer, err = handle(ctx, request); err == nil {
		answer, err = s.reserve(ctx, request, answer)
	}
	if m.end(err); err == nil {
		m.sent.Add(1)
	}
	return answer, err
}

// reserve is that of answerMemory. What has changed something is not told that it was refused.
func (s *Server) reserve(ctx context.Context, request, answer any) (any, error) {
	kept, err := s.answers.reserve(ctx, answer)
	if err == nil {
		return kept, nil
	}
	switch r := request.(type) {
	case *pb.PutRequest, *pb.DeleteRangeRequest:
		return nil, rpctypes.ErrGRPCTimeout
	case *pb.TxnRequest:
		if !mvcc.ReadOnly(txnOf(r)) {
			return nil, rpctypes.ErrGRPCTimeout
		}
	}
	return nil, err
}

// stream counts a call, its messages, and what they keep.
func (s *Server) stream(service any, to grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	m := s.methods[info.FullMethod]
	m.started.Add(1)
	err := handle(service, stream{to, m, s.answers})
	m.end(err)
	return err
}

type stream struct {
	grpc.ServerStream
	of      *method
	answers *answerMemory
}

func (s stream) SendMsg(m any) error {
	m, err := s.answers.reserve(s.Context(), m)
	if err == nil {
		err = s.ServerStream.SendMsg(m)
	}
	if err == nil {
		s.of.sent.Add(1)
	}
	return err
}

func (s stream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.of.received.Add(1)
	}
	return err
}
