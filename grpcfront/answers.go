package grpcfront

import (
	"bytes"
	"cmp"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"etcd/actors"
	"etcd/store/mvcc"
)

// Answers, made of what the machine has found. Keys and values are shared with its state and must not be written
// to; encoding them does not.

// setHeader sets a header, which is empty.
func setHeader(h *pb.ResponseHeader, m *actors.Machine, revision int64) {
	raft := m.LastStatus()
	h.ClusterId, h.MemberId, h.RaftTerm, h.Revision = m.ClusterID, raft.MemberID, raft.Term, revision
}

// What is answered most is allocated with its header.
type (
	putAnswer struct {
		pb.PutResponse
		header pb.ResponseHeader
	}
	rangeAnswer struct {
		pb.RangeResponse
		header pb.ResponseHeader
	}
)

func newPutAnswer(r *pb.PutRequest, prev *mvcc.Version) *putAnswer {
	a := &putAnswer{}
	a.Header = &a.header
	if r.GetPrevKv() && prev != nil {
		a.PrevKv = keyValues(prev)[0]
	}
	return a
}

func newRangeAnswer(r *pb.RangeRequest, found *mvcc.Found) *rangeAnswer {
	a := &rangeAnswer{}
	a.Header = &a.header
	versions, more := cut(r, found)
	a.Kvs, a.Count, a.More = rangeKeyValues(r, versions), found.Count, more
	return a
}

// cut sorts what was found and is not sorted yet, and reports whether it has left something out.
func cut(r *pb.RangeRequest, found *mvcc.Found) (versions []*mvcc.Version, more bool) {
	if !cutsFirst(r) {
		return found.Versions, found.More
	}
	versions = found.Versions
	slices.SortStableFunc(versions, comparison(r.GetSortTarget()))
	if more = int64(len(versions)) > r.GetLimit(); more {
		versions = versions[:r.GetLimit()]
	}
	return versions, more
}

// comparison compares versions of keys by a target.
func comparison(by pb.RangeRequest_SortTarget) func(a, b *mvcc.Version) int {
	return func(a, b *mvcc.Version) int {
		switch by {
		case pb.RangeRequest_VERSION:
			return cmp.Compare(a.Count, b.Count)
		case pb.RangeRequest_CREATE:
			return cmp.Compare(a.Create, b.Create)
		case pb.RangeRequest_MOD:
			return cmp.Compare(a.Mod, b.Mod)
		case pb.RangeRequest_VALUE:
			return bytes.Compare(a.Value(), b.Value())
		}
		return 0
	}
}

func newDeleteAnswer(r *pb.DeleteRangeRequest, deleted []*mvcc.Version) *pb.DeleteRangeResponse {
	a := &pb.DeleteRangeResponse{Header: &pb.ResponseHeader{}, Deleted: int64(len(deleted))}
	if r.GetPrevKv() {
		a.PrevKvs = keyValues(deleted...)
	}
	return a
}

func keyValues(versions ...*mvcc.Version) []*mvccpb.KeyValue {
	all, values := allocate(len(versions))
	for i, v := range versions {
		setKeyValue(&values[i], v)
	}
	return all
}

// rangeKeyValues returns what a range has found. Whoever asks for keys only gets no leases either, unless the
// values had to be looked at to sort by them.
func rangeKeyValues(r *pb.RangeRequest, versions []*mvcc.Version) []*mvccpb.KeyValue {
	if !r.GetKeysOnly() {
		return keyValues(versions...)
	}
	byValue := r.GetSortTarget() == pb.RangeRequest_VALUE
	all, values := allocate(len(versions))
	for i, v := range versions {
		kv := &values[i]
		kv.Key, kv.CreateRevision, kv.ModRevision, kv.Version = v.KeyBytes(), v.Create, v.Mod, v.Count
		if byValue {
			kv.Lease = v.Lease
		}
	}
	return all
}

func setKeyValue(kv *mvccpb.KeyValue, v *mvcc.Version) {
	kv.Key, kv.Value, kv.Lease = v.KeyBytes(), v.Value(), v.Lease
	kv.CreateRevision, kv.ModRevision, kv.Version = v.Create, v.Mod, v.Count
}

// allocate returns n messages, and pointers to them.
func allocate(n int) ([]*mvccpb.KeyValue, []mvccpb.KeyValue) {
	if n == 0 {
		return nil, nil
	}
	all, values := make([]*mvccpb.KeyValue, n), make([]mvccpb.KeyValue, n)
	for i := range values {
		all[i] = &values[i]
	}
	return all, values
}

// txnAnswer makes the answer to a transaction, in the order of its operations: the header of each has the revision
// at which it was carried out, which is a new one from the first change on.
type txnAnswer struct{ before, revision int64 }

func newTxnAnswer(r *pb.TxnRequest, out *mvcc.Outcome) *pb.TxnResponse {
	t := txnAnswer{before: out.Revision, revision: out.Revision}
	if hasChanged(r, out.Txn) {
		t.before--
		t.revision--
	}
	return t.of(r, out.Txn)
}

// of returns the answer to one transaction, without what its header has to have.
func (t *txnAnswer) of(r *pb.TxnRequest, did *mvcc.TxnResult) *pb.TxnResponse {
	a := &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: did.Succeeded}
	ops := chosen(r, did)
	a.Responses = make([]*pb.ResponseOp, len(ops))
	for i, op := range ops {
		step := &did.Steps[i]
		switch kind := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			found := newRangeAnswer(kind.RequestRange, &step.Found)
			found.header.Revision = t.revision
			a.Responses[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &found.RangeResponse}}
		case *pb.RequestOp_RequestPut:
			t.revision = t.before + 1
			put := newPutAnswer(kind.RequestPut, step.Prev)
			put.header.Revision = t.revision
			a.Responses[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &put.PutResponse}}
		case *pb.RequestOp_RequestDeleteRange:
			if len(step.Deleted) > 0 {
				t.revision = t.before + 1
			}
			deleted := newDeleteAnswer(kind.RequestDeleteRange, step.Deleted)
			deleted.Header.Revision = t.revision
			a.Responses[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: deleted}}
		case *pb.RequestOp_RequestTxn:
			a.Responses[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: t.of(kind.RequestTxn, step.Txn)}}
		}
	}
	return a
}

// chosen returns the operations that were carried out.
func chosen(r *pb.TxnRequest, did *mvcc.TxnResult) []*pb.RequestOp {
	if did.Succeeded {
		return r.GetSuccess()
	}
	return r.GetFailure()
}

// hasChanged reports whether a transaction has changed anything.
func hasChanged(r *pb.TxnRequest, did *mvcc.TxnResult) bool {
	for i, op := range chosen(r, did) {
		step := &did.Steps[i]
		switch kind := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			return true
		case *pb.RequestOp_RequestDeleteRange:
			if len(step.Deleted) > 0 {
				return true
			}
		case *pb.RequestOp_RequestTxn:
			if hasChanged(kind.RequestTxn, step.Txn) {
				return true
			}
		}
	}
	return false
}
