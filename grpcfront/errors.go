package grpcfront

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd/raftnode"
	"etcd/store/mvcc"
)

// Clients tell errors apart by their texts, so those of the API are used as they are.

// errNoAnswer means that no answer came within the request timeout.
var errNoAnswer = rpctypes.ErrGRPCTimeout

// errorOf returns an error of the machine as one of the API.
func errorOf(err error) error {
	switch {
	case errors.Is(err, mvcc.ErrCompacted):
		return rpctypes.ErrGRPCCompacted
	case errors.Is(err, mvcc.ErrFuture):
		return rpctypes.ErrGRPCFutureRev
	case errors.Is(err, mvcc.ErrKeyNotFound):
		return rpctypes.ErrGRPCKeyNotFound
	case errors.Is(err, mvcc.ErrLeaseNotFound):
		return rpctypes.ErrGRPCLeaseNotFound
	case errors.Is(err, mvcc.ErrNoSpace):
		return rpctypes.ErrGRPCNoSpace
	case errors.Is(err, mvcc.ErrTooLarge):
		return rpctypes.ErrGRPCRequestTooLarge
	case errors.Is(err, raftnode.ErrNoLeader):
		return rpctypes.ErrGRPCNoLeader
	case errors.Is(err, raftnode.ErrUnknownOutcome):
		return rpctypes.ErrGRPCTimeout
	case errors.Is(err, raftnode.ErrOverloaded):
		return rpctypes.ErrGRPCRequestTooManyRequests
	}
	return status.Error(codes.Unknown, "etcdserver: "+err.Error())
}

// errorOfEnd returns why a call was given up whose context has ended.
func errorOfEnd(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return rpctypes.ErrGRPCDeadlineExceeded
	}
	return rpctypes.ErrGRPCCanceled
}
