package grpcfront

import (
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"etcd/store/mvcc"
)

// firstPart is how many keys the first part of a stream has. The others get larger or smaller so that they come to
// about the size that a request may have.
const firstPart = 10

// RangeStream implements [pb.KVServer]. All parts are of the moment at which it begins.
func (s *kv) RangeStream(r *pb.RangeRequest, to grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	ctx := to.Context()
	served := voters
	if r.GetSerializable() {
		served = everybody
	}
	m, err := s.admit(ctx, served)
	if err != nil {
		return err
	}
	if err := checkRangeStream(r); err != nil {
		return err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return err
	}
	defer call.end()
	out, err := call.queryRange(ctx, m, r)
	if err != nil {
		return err
	}
	versions, more := cut(r, &out.Found)
	last := &pb.RangeResponse{Header: &pb.ResponseHeader{}, Count: out.Found.Count, More: more}
	setHeader(last.Header, m, out.Revision)
	return watchOver(func(sent func()) error {
		return sendParts(r, s.cfg.MaxRequest, versions, last, func(part *pb.RangeResponse) error {
			if err := permitted(m); err != nil {
				return err
			}
			defer sent()
			return to.Send(&pb.RangeStreamResponse{RangeResponse: part})
		})
	})
}

// maxStall is how long a client may take to make room for a part of a stream.
const maxStall = 30 * time.Second

// watchOver calls send, and gives up when it takes too long to send the next part. The end of the call ends send
// then.
func watchOver(send func(sent func()) error) error {
	over, progress := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		over <- send(func() {
			select {
			case progress <- struct{}{}:
			default:
			}
		})
	}()
	stalled := time.NewTimer(maxStall)
	defer stalled.Stop()
	for {
		select {
		case err := <-over:
			return err
		case <-progress:
			stalled.Reset(maxStall)
		case <-stalled.C:
			return rpctypes.ErrGRPCTimeout
		}
	}
}

// sendParts sends what was found in parts. The last of them is given, without its keys.
func sendParts(r *pb.RangeRequest, size int, found []*mvcc.Version, last *pb.RangeResponse, send func(*pb.RangeResponse) error) error {
	for n := firstPart; len(found) > n; {
		part := &pb.RangeResponse{Kvs: rangeKeyValues(r, found[:n])}
		found = found[n:]
		if err := send(part); err != nil {
			return err
		}
		n = nextPart(n, sizeOf(part.Kvs), size)
	}
	last.Kvs = rangeKeyValues(r, found)
	return send(last)
}

// nextPart returns how many keys come next, after a part of n of so many bytes, if parts shall have about ideal.
func nextPart(n, size, ideal int) int {
	switch {
	case size < ideal/2:
		return 2 * n
	case size > 2*ideal:
		return max(1, n/2)
	}
	return n
}

func sizeOf(kvs []*mvccpb.KeyValue) (n int) {
	for _, kv := range kvs {
		n += proto.Size(kv)
	}
	return n
}
