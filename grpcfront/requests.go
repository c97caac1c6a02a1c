package grpcfront

import (
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd/store"
	"etcd/store/storepb"
)

// Requests, as the machine understands them. Those that come here are valid.

func putCommand(r *pb.PutRequest) []byte {
	if r.GetLease() == 0 && !r.GetIgnoreValue() && !r.GetIgnoreLease() {
		return store.EncodePut(r.GetKey(), r.GetValue())
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Put{Put: putOf(r)}})
}

func putOf(r *pb.PutRequest) *storepb.Put {
	return &storepb.Put{
		Key: r.GetKey(), Value: r.GetValue(), Lease: r.GetLease(), IgnoreValue: r.GetIgnoreValue(), IgnoreLease: r.GetIgnoreLease(),
	}
}

func deleteRangeOf(r *pb.DeleteRangeRequest) *storepb.DeleteRange {
	return &storepb.DeleteRange{Key: r.GetKey(), RangeEnd: r.GetRangeEnd()}
}

// setRange sets q, which is empty, to a range.
func setRange(q *storepb.Range, r *pb.RangeRequest) {
	q.Key, q.RangeEnd, q.Limit, q.Revision = r.GetKey(), r.GetRangeEnd(), r.GetLimit(), r.GetRevision()
	q.Order, q.Descending = targets[r.GetSortTarget()], r.GetSortOrder() == pb.RangeRequest_DESCEND
	q.CountOnly = r.GetCountOnly()
	if cutsFirst(r) {
		q.Order = storepb.Target_TARGET_KEY
		if q.Limit < math.MaxInt64 {
			q.Limit++
		}
	}
	q.MinMod, q.MaxMod = r.GetMinModRevision(), r.GetMaxModRevision()
	q.MinCreate, q.MaxCreate = r.GetMinCreateRevision(), r.GetMaxCreateRevision()
}

// cutsFirst reports whether a range is sorted after all but one key beyond its limit were cut off. So etcd does it
// if by what to sort is given, and not in which order.
func cutsFirst(r *pb.RangeRequest) bool {
	return r.GetLimit() > 0 && r.GetSortOrder() == pb.RangeRequest_NONE && r.GetSortTarget() != pb.RangeRequest_KEY && !isFiltered(r)
}

var targets = [...]storepb.Target{
	pb.RangeRequest_KEY:     storepb.Target_TARGET_KEY,
	pb.RangeRequest_VERSION: storepb.Target_TARGET_VERSION,
	pb.RangeRequest_CREATE:  storepb.Target_TARGET_CREATE,
	pb.RangeRequest_MOD:     storepb.Target_TARGET_MOD,
	pb.RangeRequest_VALUE:   storepb.Target_TARGET_VALUE,
}

func txnOf(r *pb.TxnRequest) *storepb.Txn {
	m := &storepb.Txn{Success: opsOf(r.GetSuccess()), Failure: opsOf(r.GetFailure())}
	if compares := r.GetCompare(); len(compares) > 0 {
		m.Compare = make([]*storepb.Compare, 0, len(compares))
		for _, c := range compares {
			if c := compareOf(c); c != nil {
				m.Compare = append(m.Compare, c)
			}
		}
	}
	return m
}

func opsOf(list []*pb.RequestOp) []*storepb.Op {
	if len(list) == 0 {
		return nil
	}
	ops := make([]*storepb.Op, len(list))
	for i, op := range list {
		switch kind := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			q := &storepb.Range{}
			setRange(q, kind.RequestRange)
			ops[i] = &storepb.Op{Kind: &storepb.Op_Range{Range: q}}
		case *pb.RequestOp_RequestPut:
			ops[i] = &storepb.Op{Kind: &storepb.Op_Put{Put: putOf(kind.RequestPut)}}
		case *pb.RequestOp_RequestDeleteRange:
			ops[i] = &storepb.Op{Kind: &storepb.Op_DeleteRange{DeleteRange: deleteRangeOf(kind.RequestDeleteRange)}}
		case *pb.RequestOp_RequestTxn:
			ops[i] = &storepb.Op{Kind: &storepb.Op_Txn{Txn: txnOf(kind.RequestTxn)}}
		}
	}
	return ops
}

// compareOf returns a comparison. As in etcd, a number that was not given is 0 and a value empty, one given for
// another target does not count, every relation that is unknown holds, and a target that is unknown is 0. nil: it
// always holds.
func compareOf(c *pb.Compare) *storepb.Compare {
	m := &storepb.Compare{Key: c.GetKey(), RangeEnd: c.GetRangeEnd()}
	switch c.GetTarget() {
	case pb.Compare_VERSION:
		m.Target, m.Number = storepb.Target_TARGET_VERSION, c.GetVersion()
	case pb.Compare_CREATE:
		m.Target, m.Number = storepb.Target_TARGET_CREATE, c.GetCreateRevision()
	case pb.Compare_MOD:
		m.Target, m.Number = storepb.Target_TARGET_MOD, c.GetModRevision()
	case pb.Compare_LEASE:
		m.Target, m.Number = storepb.Target_TARGET_LEASE, c.GetLease()
	case pb.Compare_VALUE:
		m.Target, m.Value = storepb.Target_TARGET_VALUE, c.GetValue()
	}
	switch c.GetResult() {
	case pb.Compare_EQUAL:
		m.Relation = storepb.Relation_RELATION_EQUAL
	case pb.Compare_GREATER:
		m.Relation = storepb.Relation_RELATION_GREATER
	case pb.Compare_LESS:
		m.Relation = storepb.Relation_RELATION_LESS
	case pb.Compare_NOT_EQUAL:
		m.Relation = storepb.Relation_RELATION_NOT_EQUAL
	default:
		if m.Target != storepb.Target_TARGET_VALUE {
			return nil
		}
		// A value, of a key that is there.
		m.Target, m.Relation, m.Value = storepb.Target_TARGET_VERSION, storepb.Relation_RELATION_GREATER, nil
	}
	return m
}

// isSerializable reports whether a transaction that only reads may be answered from local state: all of its ranges
// may.
func isSerializable(r *pb.TxnRequest) bool {
	for _, list := range [...][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range list {
			switch kind := op.GetRequest().(type) {
			case *pb.RequestOp_RequestRange:
				if !kind.RequestRange.GetSerializable() {
					return false
				}
			case *pb.RequestOp_RequestTxn:
				if !isSerializable(kind.RequestTxn) {
					return false
				}
			}
		}
	}
	return true
}
