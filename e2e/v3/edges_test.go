package v3

import (
	"bytes"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// TestEdges compares answers to what is not drawn: to a server that has nothing yet, and to
// what is large or unknown.
func TestEdges(t *testing.T) {
	begin(t)
	t.Parallel()
	d := newDifferential(t)
	compact := func(revision int64) call {
		return call{method: pb.KV_Compact_FullMethodName, request: &pb.CompactionRequest{Revision: revision}}
	}
	get := func(key, end string, revision int64) *pb.RangeRequest {
		return &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end), Revision: revision}
	}
	sized := func(n int) call {
		return call{method: pb.KV_Put_FullMethodName, request: &pb.PutRequest{Key: []byte("large"), Value: make([]byte, n)}}
	}
	calls := []call{
		{method: pb.KV_Range_FullMethodName, request: get("\x00", "\x00", 0)},
		{method: pb.KV_Range_FullMethodName, request: get("\x00", "\x00", 1)},
		{method: pb.KV_Range_FullMethodName, request: get("\x00", "\x00", 2)},
		compact(0), compact(-1), compact(2), compact(0), compact(1), compact(1), compact(0), compact(-1),
		{method: pb.KV_Range_FullMethodName, request: get("\x00", "\x00", 1)},
		{method: pb.KV_DeleteRange_FullMethodName, request: &pb.DeleteRangeRequest{Key: []byte("a")}},
		{method: pb.KV_Txn_FullMethodName, request: &pb.TxnRequest{}},
		{method: "/etcdserverpb.KV/Nonsense", request: &pb.RangeRequest{}},
		{method: "/etcdserverpb.Nonsense/Range", request: &pb.RangeRequest{}},
		{method: "nonsense", request: &pb.RangeRequest{}},
		sized(1_500_000), sized(1 << 20), sized(1_572_864), sized(1_572_864 + 512<<10), sized(3 << 20),
	}
	for i := range 3 {
		q := &pb.TxnRequest{}
		for j := range 40 {
			q.Success = append(q.Success, put(fmt.Sprintf("k%d-%02d", i, j), bytes.Repeat([]byte{byte(j)}, 30_000)))
		}
		calls = append(calls, call{method: pb.KV_Txn_FullMethodName, request: q})
	}
	whole := get("k", "l", 0)
	calls = append(calls, call{method: pb.KV_Range_FullMethodName, request: whole}, call{method: pb.KV_RangeStream_FullMethodName, request: whole},
		call{method: pb.KV_RangeStream_FullMethodName, request: &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: 77}})
	for _, c := range calls {
		official, tested := d.both(c)
		if what, where := d.difference(c, official, tested); what != "" {
			t.Errorf("%v: %s\nofficial: %v\n%s: %v\n%s", c, what, official, subject(), tested, where)
		}
	}
}

// TestWhatCrashesUpstream sends what the official server takes and does not survive: a key is deleted and put by one
// transaction, see crashesUpstream. Ours refuses that, as it refuses every key that is given twice.
func TestWhatCrashesUpstream(t *testing.T) {
	begin(t)
	t.Parallel()
	if subject() == "official" {
		t.Skip("it would crash")
	}
	s := connect(t, prepared("bin", "etcd"))
	remove := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}}}}
	old := put("b", nil)
	old.GetRequestPut().IgnoreValue = true
	for _, ops := range [][]*pb.RequestOp{{remove, put("b", []byte("2"))}, {put("b", []byte("2")), remove}, {remove, old}} {
		for _, nested := range []bool{false, true} {
			q := &pb.TxnRequest{Success: ops}
			if nested {
				q = &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: q}}}}
			}
			if a := s.do(call{method: pb.KV_Txn_FullMethodName, request: q}); a.err == nil || a.err.Error() != rpctypes.ErrGRPCDuplicateKey.Error() {
				t.Errorf("%v: %v, %v", q, a.message, a.err)
			}
		}
	}
}
