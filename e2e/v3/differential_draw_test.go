package v3

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// What is drawn collides: a few keys, values and revisions. Whatever is drawn first of a kind is
// what a failing sequence is simplified to.

// oneIn reports true once in a while.
func (s *sequence) oneIn(n int, what string) bool {
	return rapid.SampledFrom(append(make([]bool, n-1), true)).Draw(s.t, what)
}

func (s *sequence) between(low, high int, what string) int {
	return rapid.IntRange(low, high).Draw(s.t, what)
}

func (s *sequence) drawKey() []byte {
	if s.oneIn(1500, "no key") {
		return nil
	}
	return []byte(rapid.SampledFrom([]string{"a", "b", "c", "aa", "ab", "b\x00", "c/1", "c/2", "f00", "f15", "\x00", "\xff", "\xffa", "a\xff"}).Draw(s.t, "key"))
}

// drawSpan draws a key and the end of a range.
func (s *sequence) drawSpan() (key, end []byte) {
	key = s.drawKey()
	switch rapid.SampledFrom([]string{"", "", "all", "prefix", "from", "another", "another", "next", "itself"}).Draw(s.t, "span") {
	case "all":
		return []byte{0}, []byte{0}
	case "prefix":
		end = prefixEnd(key)
	case "from":
		end = []byte{0}
	case "another": // which may come before
		end = s.drawKey()
	case "next":
		end = append(bytes.Clone(key), 0)
	case "itself":
		end = key
	}
	return key, end
}

func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

func (s *sequence) drawValue() []byte {
	value := rapid.SampledFrom([]string{"", "1", "2", "3", "a", "long"}).Draw(s.t, "value")
	if value == "long" {
		return bytes.Repeat([]byte("x"), rapid.SampledFrom([]int{300, 5_000, 70_000}).Draw(s.t, "length"))
	}
	return []byte(value)
}

// drawRevision draws a revision, mostly one that exists in this sequence.
func (s *sequence) drawRevision() int64 {
	switch rapid.SampledFrom([]string{"known", "known", "known", "known", "known", "known", "compacted", "newest", "absolute"}).Draw(s.t, "revision") {
	case "known":
		return s.compacted + int64(s.between(0, int(s.newest-s.compacted), "revision after the compacted"))
	case "compacted":
		return s.compacted + int64(s.between(-1, 1, "near the compacted"))
	case "newest":
		return s.newest + int64(s.between(-1, 2, "near the newest"))
	}
	return rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}).Draw(s.t, "absolute")
}

func (s *sequence) drawFilter(what string) int64 {
	if !s.oneIn(8, what) {
		return 0
	}
	return s.drawRevision()
}

func (s *sequence) drawRangeRequest() *pb.RangeRequest {
	q := &pb.RangeRequest{}
	q.Key, q.RangeEnd = s.drawSpan()
	if s.oneIn(3, "at a revision") {
		q.Revision = s.drawRevision()
	}
	if s.oneIn(3, "limited") {
		q.Limit = rapid.SampledFrom([]int64{1, 2, 3, 10, 100, math.MaxInt64, -1, math.MinInt64}).Draw(s.t, "limit")
	}
	if s.oneIn(3, "sorted") {
		q.SortOrder = pb.RangeRequest_SortOrder(s.between(0, 2, "order"))
		q.SortTarget = pb.RangeRequest_SortTarget(s.between(0, 4, "target"))
	}
	if s.oneIn(150, "sorted as nobody can") {
		q.SortOrder = rapid.SampledFrom([]pb.RangeRequest_SortOrder{0, 3, -1}).Draw(s.t, "order")
		q.SortTarget = rapid.SampledFrom([]pb.RangeRequest_SortTarget{5, -1, 0}).Draw(s.t, "target")
	}
	q.MinModRevision, q.MaxModRevision = s.drawFilter("min mod"), s.drawFilter("max mod")
	q.MinCreateRevision, q.MaxCreateRevision = s.drawFilter("min create"), s.drawFilter("max create")
	q.Serializable = s.oneIn(3, "serializable")
	q.KeysOnly = s.oneIn(5, "keys only")
	q.CountOnly = s.oneIn(8, "count only")
	return q
}

func (s *sequence) drawRange() call {
	return call{method: pb.KV_Range_FullMethodName, request: s.drawRangeRequest()}
}

func (s *sequence) drawRangeStream() call {
	q := s.drawRangeRequest()
	if !s.oneIn(6, "as it was drawn") { // most of which would be refused
		q.SortOrder = pb.RangeRequest_NONE
		if !s.oneIn(4, "sorted in no order") {
			q.SortTarget = pb.RangeRequest_KEY
		}
		q.MinModRevision, q.MaxModRevision, q.MinCreateRevision, q.MaxCreateRevision = 0, 0, 0, 0
	}
	return call{method: pb.KV_RangeStream_FullMethodName, request: q}
}

func (s *sequence) drawPutRequest() *pb.PutRequest {
	q := &pb.PutRequest{Key: s.drawKey(), Value: s.drawValue(), PrevKv: s.oneIn(3, "prev kv")}
	if s.oneIn(6, "ignore value") {
		q.IgnoreValue = true
		if !s.oneIn(6, "with a value") {
			q.Value = nil
		}
	}
	q.IgnoreLease = s.oneIn(8, "ignore lease")
	if s.oneIn(15, "unknown lease") {
		q.Lease = rapid.SampledFrom([]int64{1, -1, math.MaxInt64}).Draw(s.t, "lease")
	}
	return q
}

func (s *sequence) drawPut() call {
	return call{method: pb.KV_Put_FullMethodName, request: s.drawPutRequest()}
}

func (s *sequence) drawDeleteRequest() *pb.DeleteRangeRequest {
	q := &pb.DeleteRangeRequest{PrevKv: s.oneIn(2, "prev kv")}
	q.Key, q.RangeEnd = s.drawSpan()
	return q
}

func (s *sequence) drawDelete() call {
	return call{method: pb.KV_DeleteRange_FullMethodName, request: s.drawDeleteRequest()}
}

// drawFill puts more keys than fit into the first part of a RangeStream.
func (s *sequence) drawFill() call {
	q := &pb.TxnRequest{}
	value := s.drawValue()
	value = value[:min(len(value), 5_000)]
	for i := range s.between(0, 129, "keys") {
		q.Success = append(q.Success, put(fmt.Sprintf("f%02d", i), value))
	}
	return call{method: pb.KV_Txn_FullMethodName, request: q}
}

func put(key string, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: value}}}
}

func (s *sequence) drawTxn() call {
	q := s.drawTxnRequest(0)
	if crashesUpstream(q) {
		boundDeletes(q)
	}
	return call{method: pb.KV_Txn_FullMethodName, request: q}
}

func (s *sequence) drawTxnRequest(depth int) *pb.TxnRequest {
	q := &pb.TxnRequest{}
	for range s.drawCount(2) {
		q.Compare = append(q.Compare, s.drawCompare())
	}
	q.Success = s.drawOps(depth)
	q.Failure = s.drawOps(depth)
	return q
}

// crashesUpstream reports whether a transaction may delete a key and then put it, because a delete
// goes to the end of the keyspace. The official server does not see there that a key is given
// twice. It crashes then at a put with the old value or lease, and otherwise when the key is read
// after a compaction, and again whenever it reads its log.
func crashesUpstream(q *pb.TxnRequest) bool {
	deletes, puts := false, false
	walk(q, func(op *pb.RequestOp) {
		deletes = deletes || toTheEnd(op.GetRequestDeleteRange())
		puts = puts || op.GetRequestPut() != nil
	})
	return deletes && puts
}

func toTheEnd(q *pb.DeleteRangeRequest) bool { return bytes.Equal(q.GetRangeEnd(), []byte{0}) }

// boundDeletes gives the deletes of a transaction another end, which is behind all keys here too.
func boundDeletes(q *pb.TxnRequest) {
	walk(q, func(op *pb.RequestOp) {
		if d := op.GetRequestDeleteRange(); toTheEnd(d) {
			d.RangeEnd = []byte("\xff\xff")
		}
	})
}

// walk visits all ops of a transaction.
func walk(q *pb.TxnRequest, visit func(*pb.RequestOp)) {
	for _, op := range slices.Concat(q.GetSuccess(), q.GetFailure()) {
		visit(op)
		walk(op.GetRequestTxn(), visit)
	}
}

// drawCount draws how many there are of something: few, or about as many as are allowed.
func (s *sequence) drawCount(few int) int {
	if s.oneIn(300, "many") {
		return s.between(126, 130, "so many")
	}
	return s.between(0, few, "so many")
}

func (s *sequence) drawOps(depth int) (ops []*pb.RequestOp) {
	n := s.drawCount(4)
	var repeated *pb.RequestOp
	for range n {
		if n > 100 && repeated != nil { // of many only their number matters
			ops = append(ops, repeated)
			continue
		}
		op := s.drawOp(depth)
		if op.GetRequestPut() == nil && op.GetRequestTxn() == nil {
			repeated = op
		}
		ops = append(ops, op)
	}
	return ops
}

func (s *sequence) drawOp(depth int) *pb.RequestOp {
	kinds := []string{"put", "put", "range", "delete", "range", "txn", "txn"}
	if depth == 3 {
		kinds = kinds[:5]
	}
	if s.oneIn(800, "no op") {
		return rapid.SampledFrom([]*pb.RequestOp{
			{},
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{}}},
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{}}},
			{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{}}},
			{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{}}},
		}).Draw(s.t, "empty op")
	}
	switch rapid.SampledFrom(kinds).Draw(s.t, "op") {
	case "put":
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: s.drawPutRequest()}}
	case "range":
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: s.drawRangeRequest()}}
	case "delete":
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: s.drawDeleteRequest()}}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: s.drawTxnRequest(depth + 1)}}
}

func (s *sequence) drawCompare() *pb.Compare {
	c := &pb.Compare{
		Result: pb.Compare_CompareResult(s.between(0, 3, "result")),
		Target: pb.Compare_CompareTarget(s.between(0, 4, "target")),
	}
	if s.oneIn(3, "range compare") {
		c.Key, c.RangeEnd = s.drawSpan()
	} else {
		c.Key = s.drawKey()
	}
	of := int(c.Target)
	switch {
	case s.oneIn(15, "a value of another kind"):
		of = s.between(0, 5, "kind")
	case s.oneIn(30, "as nobody can"):
		c.Result, c.Target = pb.Compare_CompareResult(s.between(3, 5, "result")), pb.Compare_CompareTarget(s.between(4, 6, "target"))
	}
	switch pb.Compare_CompareTarget(of) {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: int64(s.between(0, 3, "version"))}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: s.drawRevision()}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: s.drawRevision()}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: s.drawValue()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: int64(s.between(-1, 1, "lease"))}
	}
	return c
}

func (s *sequence) drawCompact() call {
	return call{method: pb.KV_Compact_FullMethodName, request: &pb.CompactionRequest{Revision: s.drawRevision(), Physical: s.oneIn(2, "physical")}}
}

func (s *sequence) drawStatus() call {
	if s.oneIn(4, "members") {
		return call{method: pb.Cluster_MemberList_FullMethodName, request: &pb.MemberListRequest{Linearizable: s.oneIn(2, "linearizable")}}
	}
	return call{method: pb.Maintenance_Status_FullMethodName, request: &pb.StatusRequest{}}
}

// drawDamaged draws a request with a byte that is changed, more, or missing.
func (s *sequence) drawDamaged() call {
	c := rapid.SampledFrom([]func() call{s.drawPut, s.drawRange, s.drawRangeStream, s.drawDelete, s.drawTxn, s.drawCompact}).Draw(s.t, "method")()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.request)
	if err != nil {
		s.t.Fatal(err)
	}
	at := s.between(0, min(len(wire), 200), "at")
	changed := []byte{byte(s.between(0, 255, "byte"))}
	damaged := c
	switch rapid.SampledFrom([]string{"changed", "cut", "more"}).Draw(s.t, "damage") {
	case "changed":
		damaged.wire = slices.Concat(wire[:at], changed, wire[min(at+1, len(wire)):])
	case "cut":
		damaged.wire = append([]byte{}, wire[:at]...)
	default:
		damaged.wire = slices.Concat(wire[:at], changed, wire[at:])
	}
	if q := (&pb.TxnRequest{}); c.method == pb.KV_Txn_FullMethodName && proto.Unmarshal(damaged.wire, q) == nil && crashesUpstream(q) {
		return c
	}
	return damaged
}
