package grpcfront

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"etcd/actors"
	"etcd/store/mvcc"
	"etcd/store/storepb"
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
	view, err := call.freeze(ctx, m, r.GetSerializable())
	if err != nil {
		return err
	}
	var q storepb.Range
	setRange(&q, r)
	found, err := view.Range(&q)
	if err != nil {
		return errorOf(err)
	}
	versions, more := cut(r, &found)
	last := &pb.RangeResponse{Header: &pb.ResponseHeader{}, Count: found.Count, More: more}
	setHeader(last.Header, m, view.Revision())
	view = nil // it would keep what is overwritten while the client reads
	return sendParts(r, s.cfg.MaxRequest, versions, last, func(part *pb.RangeResponse) error {
		if err := permitted(m); err != nil {
			return err
		}
		return to.Send(&pb.RangeStreamResponse{RangeResponse: part})
	})
}

// freeze returns a view of the keys, in the local state or with all that was acknowledged before.
func (s *session) freeze(ctx context.Context, m *actors.Machine, local bool) (*mvcc.View, error) {
	if !local {
		if err := s.sync(ctx, m); err != nil {
			return nil, err
		}
	}
	answer, err := s.ask(ctx, m.Store, &actors.Freeze{ID: s.expect(), ReplyTo: s.pid})
	if err != nil {
		return nil, err
	}
	return answer.(*actors.Frozen).State.Keys(), nil
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
