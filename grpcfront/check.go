package grpcfront

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What is wrong with a request whatever is stored. A request with several faults gets the error that it gets from
// etcd.

func checkRange(r *pb.RangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	_, knownOrder := pb.RangeRequest_SortOrder_name[int32(r.GetSortOrder())]
	_, knownTarget := pb.RangeRequest_SortTarget_name[int32(r.GetSortTarget())]
	if !knownOrder || !knownTarget {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	return nil
}

var (
	errStreamSorted   = status.Error(codes.Unimplemented, "RangeStream does not support custom sort orders")
	errStreamFiltered = status.Error(codes.Unimplemented, "RangeStream does not support revision filters")
)

func checkRangeStream(r *pb.RangeRequest) error {
	if err := checkRange(r); err != nil {
		return err
	}
	natural := r.GetSortOrder() == pb.RangeRequest_NONE ||
		r.GetSortOrder() == pb.RangeRequest_ASCEND && r.GetSortTarget() == pb.RangeRequest_KEY
	switch {
	case !natural:
		return errStreamSorted
	case isFiltered(r):
		return errStreamFiltered
	}
	return nil
}

func isFiltered(r *pb.RangeRequest) bool {
	return r.GetMinModRevision() != 0 || r.GetMaxModRevision() != 0 || r.GetMinCreateRevision() != 0 || r.GetMaxCreateRevision() != 0
}

func checkPut(r *pb.PutRequest) error {
	switch {
	case len(r.GetKey()) == 0:
		return rpctypes.ErrGRPCEmptyKey
	case r.GetIgnoreValue() && len(r.GetValue()) > 0:
		return rpctypes.ErrGRPCValueProvided
	case r.GetIgnoreLease() && r.GetLease() != 0:
		return rpctypes.ErrGRPCLeaseProvided
	}
	return nil
}

func checkDeleteRange(r *pb.DeleteRangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	return nil
}

// checkTxn checks a transaction, which may have most comparisons, and operations in either of its lists. One that is
// nested may have what the longest list of the outer one leaves.
func checkTxn(r *pb.TxnRequest, most int) error {
	if err := checkTxnOps(r, most); err != nil {
		return err
	}
	return checkDuplicates(r)
}

func checkTxnOps(r *pb.TxnRequest, most int) error {
	longest := max(len(r.GetCompare()), len(r.GetSuccess()), len(r.GetFailure()))
	if longest > most {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, c := range r.GetCompare() {
		if len(c.GetKey()) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
	}
	for _, list := range [...][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range list {
			if err := checkOp(op, most-longest); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkOp(op *pb.RequestOp, most int) error {
	switch kind := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return checkRange(kind.RequestRange)
	case *pb.RequestOp_RequestPut:
		return checkPut(kind.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		return checkDeleteRange(kind.RequestDeleteRange)
	case *pb.RequestOp_RequestTxn:
		return checkTxnOps(kind.RequestTxn, most)
	}
	return rpctypes.ErrGRPCKeyNotFound
}
