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
	out, err := s.propose(ctx, m, putCommand(r))
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
	out, err := s.propose(ctx, m, store.Encode(&storepb.Command{Kind: &storepb.Command_DeleteRange{DeleteRange: deleteRangeOf(r)}}))
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
	txn, out := txnOf(r), (*mvcc.Outcome)(nil)
	if mvcc.ReadOnly(txn) {
		out, err = s.query(ctx, m, &actors.Query{Txn: txn}, isSerializable(r))
	} else {
		out, err = s.propose(ctx, m, store.Encode(&storepb.Command{Kind: &storepb.Command_Txn{Txn: txn}}))
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
	compact := &storepb.Compact{Revision: r.GetRevision()}
	out, err := s.propose(ctx, m, store.Encode(&storepb.Command{Kind: &storepb.Command_Compact{Compact: compact}}))
	if err != nil {
		return nil, err
	}
	if r.GetPhysical() {
		if err := s.awaitFreed(ctx, m); err != nil {
			return nil, err
		}
	}
	a := &pb.CompactionResponse{Header: &pb.ResponseHeader{}}
	setHeader(a.Header, m, out.Revision)
	return a, nil
}

// queryOf is a query with its range.
type queryOf struct {
	actors.Query
	what storepb.Range
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
	q := &queryOf{}
	q.Range = &q.what
	setRange(&q.what, r)
	out, err := s.query(ctx, m, &q.Query, r.GetSerializable())
	if err != nil {
		return nil, err
	}
	a := newRangeAnswer(r, &out.Found)
	setHeader(&a.header, m, out.Revision)
	return &a.RangeResponse, nil
}

// propose has a command committed and applied, and returns what it did.
func (s *Server) propose(ctx context.Context, m *actors.Machine, command []byte) (*mvcc.Outcome, error) {
	if len(command) > s.cfg.MaxRequest {
		return nil, rpctypes.ErrGRPCRequestTooLarge
	}
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
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
	return reply.Result.KV, nil
}

// query returns what a query has found, in the local state or linearizably.
func (s *Server) query(ctx context.Context, m *actors.Machine, q *actors.Query, local bool) (*mvcc.Outcome, error) {
	reply, err := s.queried(ctx, m, q, local)
	if err != nil {
		return nil, err
	}
	if err := permitted(m); err != nil {
		return nil, err
	}
	out := &reply.Outcome
	if reply.View != nil {
		*out = q.Run(reply.View)
	}
	if out.Err != nil {
		return nil, errorOf(out.Err)
	}
	return out, nil
}

func (s *Server) queried(ctx context.Context, m *actors.Machine, q *actors.Query, local bool) (*actors.Queried, error) {
	call, err := s.sessions.begin()
	if err != nil {
		return nil, err
	}
	defer call.end()
	to := m.Raft
	if local {
		if reply, ok := m.QueryLocal(q); ok {
			return reply, nil
		}
		to = m.Store
	}
	q.ID, q.ReplyTo = call.expect(), call.pid
	answer, err := call.ask(ctx, to, q)
	if err != nil {
		return nil, err
	}
	reply := answer.(*actors.Queried)
	if reply.Err != nil {
		return nil, errorOf(reply.Err)
	}
	return reply, nil
}

// awaitFreed waits until the memory of what was compacted is free, however long that takes.
func (s *Server) awaitFreed(ctx context.Context, m *actors.Machine) error {
	call, err := s.sessions.begin()
	if err != nil {
		return err
	}
	defer call.end()
	_, err = call.await(ctx, m.Store, &actors.AwaitFreed{ID: call.expect(), ReplyTo: call.pid})
	return err
}
