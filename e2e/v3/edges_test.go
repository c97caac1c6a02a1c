package v3

import (
	"bytes"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
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

// TestWhatCrashesUpstream sends what the official server does not survive: a key is deleted and
// put by one transaction, see crashesUpstream. Ours does what it says, and a compaction changes nothing.
func TestWhatCrashesUpstream(t *testing.T) {
	begin(t)
	t.Parallel()
	if subject() == "official" {
		t.Skip("it would crash")
	}
	s := connect(t, prepared("bin", "etcd"))
	all := []byte{0}
	remove := func(key string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: all}}}
	}
	old := put("b", nil)
	old.GetRequestPut().IgnoreValue = true
	for _, ops := range [][]*pb.RequestOp{
		{remove("a"), put("b", []byte("2"))},
		{put("b", []byte("2")), remove("a")},
		{remove("a"), old},
	} {
		for _, nested := range []bool{false, true} {
			q := &pb.TxnRequest{Success: ops}
			if nested {
				q = &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: q}}}}
			}
			do := func(method string, request proto.Message) proto.Message {
				t.Helper()
				a := s.do(call{method: method, request: request})
				if a.err != nil {
					t.Fatalf("%v, after %v", a, q)
				}
				return a.message
			}
			do(pb.KV_Put_FullMethodName, &pb.PutRequest{Key: []byte("b"), Value: []byte("1")})
			revision := do(pb.KV_Txn_FullMethodName, q).(*pb.TxnResponse).Header.Revision
			whole := &pb.RangeRequest{Key: all, RangeEnd: all, Revision: revision}
			before := do(pb.KV_Range_FullMethodName, whole)
			do(pb.KV_Compact_FullMethodName, &pb.CompactionRequest{Revision: revision, Physical: true})
			if after := do(pb.KV_Range_FullMethodName, whole); !proto.Equal(before, after) {
				t.Errorf("%v: %v, and %v after a compaction", q, before, after)
			}
			do(pb.KV_DeleteRange_FullMethodName, &pb.DeleteRangeRequest{Key: all, RangeEnd: all})
		}
	}
}
