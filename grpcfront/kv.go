package grpcfront

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"etcd/actors"
	"etcd/store"
	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// kv is the service KV.
type kv struct {
	pb.UnsafeKVServer
	*Server
}

// Put implements [pb.KVServer].
func (s *kv) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	m, err := s.admit(ctx, voters)
	if err != nil {
		return nil, err
	}
	if err := checkPut(r); err != nil {
		return nil, err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	out, err := s.propose(ctx, call, m, putCommand(r))
	if err != nil {
		return nil, err
	}
	a := newPutAnswer(r, out.Prev)
	setHeader(&a.header, m, out.Revision)
	return &a.PutResponse, nil
}

// DeleteRange implements [pb.KVServer].
func (s *kv) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	m, err := s.admit(ctx, voters)
	if err != nil {
		return nil, err
	}
	if err := checkDeleteRange(r); err != nil {
		return nil, err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	out, err := s.propose(ctx, call, m, store.Encode(&storepb.Command{Kind: &storepb.Command_DeleteRange{DeleteRange: deleteRangeOf(r)}}))
	if err != nil {
		return nil, err
	}
	a := newDeleteAnswer(r, out.Deleted)
	setHeader(a.Header, m, out.Revision)
	return a, nil
}

// Txn implements [pb.KVServer].
func (s *kv) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	m, err := s.admit(ctx, voters)
	if err != nil {
		return nil, err
	}
	if err := checkTxn(r, s.cfg.MaxTxnOps); err != nil {
		return nil, err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	txn, out := txnOf(r), (*mvcc.Outcome)(nil)
	if mvcc.ReadOnly(txn) {
		out, err = call.query(ctx, m, &actors.Query{Txn: txn}, isSerializable(r))
	} else {
		out, err = s.propose(ctx, call, m, store.Encode(&storepb.Command{Kind: &storepb.Command_Txn{Txn: txn}}))
	}
	if err != nil {
		return nil, err
	}
	a := newTxnAnswer(r, out)
	setHeader(a.Header, m, out.Revision)
	return a, nil
}

// Compact implements [pb.KVServer].
func (s *kv) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	m, err := s.admit(ctx, voters)
	if err != nil {
		return nil, err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	compact := &storepb.Compact{Revision: r.GetRevision()}
	out, err := s.propose(ctx, call, m, store.Encode(&storepb.Command{Kind: &storepb.Command_Compact{Compact: compact}}))
	if err != nil {
		return nil, err
	}
	if r.GetPhysical() {
		if _, err := call.await(ctx, m.Store, &actors.AwaitFreed{ID: call.expect(), ReplyTo: call.pid}); err != nil {
			return nil, err
		}
	}
	a := &pb.CompactionResponse{Header: &pb.ResponseHeader{}}
	setHeader(a.Header, m, out.Revision)
	return a, nil
}

// Range implements [pb.KVServer].
func (s *kv) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	served := voters
	if r.GetSerializable() {
		served = everybody
	}
	m, err := s.admit(ctx, served)
	if err != nil {
		return nil, err
	}
	if err := checkRange(r); err != nil {
		return nil, err
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	out, err := call.queryRange(ctx, m, r)
	if err != nil {
		return nil, err
	}
	a := newRangeAnswer(r, &out.Found)
	setHeader(&a.header, m, out.Revision)
	return &a.RangeResponse, nil
}

// propose has a command committed and applied, and returns what it did.
func (s *Server) propose(ctx context.Context, call *session, m *actors.Machine, command []byte) (*mvcc.Outcome, error) {
	if len(command) > s.cfg.MaxRequest {
		return nil, rpctypes.ErrGRPCRequestTooLarge
	}
	answer, err := call.ask(ctx, m.Raft, &actors.Propose{ID: call.expect(), ReplyTo: call.pid, Command: command})
	if err != nil {
		return nil, err
	}
	reply := answer.(*actors.Proposed)
	switch {
	case reply.Err != nil:
		return nil, errorOf(reply.Err)
	case reply.Result.KV == nil: // users and roles were turned on meanwhile
		return nil, rpctypes.ErrGRPCPermissionDenied
	case reply.Result.KV.Err != nil:
		return nil, errorOf(reply.Result.KV.Err)
	}
	if err := call.reserve(reply.Result.KV); err != nil {
		return nil, errNoAnswer // nothing may be said to be refused that was done
	}
	return reply.Result.KV, nil
}

// rangeQuery is a query with its range.
type rangeQuery struct {
	actors.Query
	what storepb.Range
}

// queryRange returns what a range has found.
func (s *session) queryRange(ctx context.Context, m *actors.Machine, r *pb.RangeRequest) (*mvcc.Outcome, error) {
	q := &rangeQuery{}
	q.Range = &q.what
	setRange(&q.what, r)
	return s.query(ctx, m, &q.Query, r.GetSerializable())
}

// query returns what a query has found, in the local state or linearizably. If that is much, the call has one of the
// places for such calls until its end.
func (s *session) query(ctx context.Context, m *actors.Machine, q *actors.Query, local bool) (*mvcc.Outcome, error) {
	reply, err := s.queried(ctx, m, q, local)
	if err != nil {
		return nil, err
	}
	if err := permitted(m); err != nil {
		return nil, err
	}
	out := &reply.Outcome
	if reply.View != nil {
		if err := s.of.places.enter(); err != nil {
			return nil, err
		}
		s.placed = true
		*out = q.Run(reply.View)
	}
	if out.Err != nil {
		return nil, errorOf(out.Err)
	}
	return out, s.reserve(out)
}

func (s *session) queried(ctx context.Context, m *actors.Machine, q *actors.Query, local bool) (*actors.Queried, error) {
	to := m.Raft
	if local {
		if reply, ok := m.QueryLocal(q); ok {
			return reply, nil
		}
		to = m.Store
	}
	q.ID, q.ReplyTo = s.expect(), s.pid
	answer, err := s.ask(ctx, to, q)
	if err != nil {
		return nil, err
	}
	reply := answer.(*actors.Queried)
	if reply.Err != nil {
		return nil, errorOf(reply.Err)
	}
	return reply, nil
}
