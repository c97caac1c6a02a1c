package v3

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// enough is after how many operations all that is usual has been seen.
const enough = 10_000

var operations = flag.Int("operations", enough, "how many operations TestDifferential compares, at least")

// TestDifferential sends the same random requests to the official server and to the one under
// test, and compares the answers field by field.
func TestDifferential(t *testing.T) {
	begin(t)
	t.Parallel()
	d := newDifferential(t)
	start := time.Now()
	for d.compared < *operations {
		rapid.Check(t, d.run)
	}
	t.Logf("%d operations in %v", d.compared, time.Since(start))
	for _, outcome := range slices.Sorted(maps.Keys(d.outcomes)) {
		t.Logf("%6d %s", d.outcomes[outcome], outcome)
	}
	for _, outcome := range usual {
		if d.outcomes[outcome] == 0 && d.compared >= enough {
			t.Errorf("%d operations have not shown %s", d.compared, outcome)
		}
	}
}

// usual is what enough operations have to show: successes of each method, and the errors.
var usual = []string{
	pb.Cluster_MemberList_FullMethodName, pb.Maintenance_Status_FullMethodName,
	pb.KV_Compact_FullMethodName, pb.KV_DeleteRange_FullMethodName, pb.KV_Put_FullMethodName,
	pb.KV_Range_FullMethodName, pb.KV_RangeStream_FullMethodName, pb.KV_Txn_FullMethodName,
	"Internal: no message",
	"InvalidArgument: etcdserver: duplicate key given in txn request",
	"InvalidArgument: etcdserver: invalid sort option",
	"InvalidArgument: etcdserver: key is not provided",
	"InvalidArgument: etcdserver: key not found",
	"InvalidArgument: etcdserver: lease is provided",
	"InvalidArgument: etcdserver: too many operations in txn request",
	"InvalidArgument: etcdserver: value is provided",
	"NotFound: etcdserver: requested lease not found",
	"OutOfRange: etcdserver: mvcc: required revision has been compacted",
	"OutOfRange: etcdserver: mvcc: required revision is a future revision",
	"Unimplemented: RangeStream does not support custom sort orders",
	"Unimplemented: RangeStream does not support revision filters",
}

// differential compares two servers, each a cluster of one.
type differential struct {
	official, tested *target
	compared         int
	outcomes         map[string]int // how often a method has succeeded, or failed with which error
	diverged         bool           // a sequence has failed, and their revisions need not be the same
}

// target is one of the two.
type target struct {
	*server
	conn *grpc.ClientConn
	base int64 // revision at which the present sequence began
}

func newDifferential(t *testing.T) *differential {
	t.Helper()
	return &differential{official: connect(t, prepared("official")), tested: connect(t, prepared("bin", "etcd")), outcomes: make(map[string]int)}
}

// connect starts a server.
func connect(t *testing.T, program string) *target {
	t.Helper()
	s := startServer(t, program)
	conn, err := grpc.NewClient(strings.TrimPrefix(s.client, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, MaxDelay: 10 * time.Millisecond}}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.ForceCodec(wireCodec{}), grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &target{server: s, conn: conn}
}

// run compares a sequence of operations, beginning with no keys. So it does not depend on
// those before, even if one of them has left the two in different states.
func (d *differential) run(t *rapid.T) {
	s := &sequence{differential: d, t: t}
	s.renew()
	step := func(draw func() call) func(*rapid.T) {
		return func(*rapid.T) { s.compare(draw()) }
	}
	t.Repeat(map[string]func(*rapid.T){
		"put":          step(s.drawPut),
		"put again":    step(s.drawPut),
		"range":        step(s.drawRange),
		"range again":  step(s.drawRange),
		"range stream": step(s.drawRangeStream),
		"delete":       step(s.drawDelete),
		"txn":          step(s.drawTxn),
		"txn again":    step(s.drawTxn),
		"fill":         step(s.drawFill),
		"compact":      step(s.drawCompact),
		"status":       step(s.drawStatus),
		"damaged or not": step(func() call {
			if s.oneIn(4, "damaged") {
				return s.drawDamaged()
			}
			return s.drawTxn()
		}),
	})
}

// sequence is a run of operations. Revisions in it are those of the official server.
type sequence struct {
	*differential
	t         *rapid.T
	newest    int64 // revision
	compacted int64 // revision
}

// renew removes all keys and their history.
func (s *sequence) renew() {
	all := []byte{0}
	for _, target := range []*target{s.official, s.tested} {
		if target.alive.Err() != nil { // in the sequence before, which has failed for that reason
			target.wipe()
			target.launch()
			target.waitServing()
		}
		a := target.do(call{method: pb.KV_DeleteRange_FullMethodName, request: &pb.DeleteRangeRequest{Key: all, RangeEnd: all}})
		if a.err == nil {
			target.base = a.message.(*pb.DeleteRangeResponse).Header.GetRevision()
			// It fails if there was nothing to be removed since the last compaction.
			target.do(call{method: pb.KV_Compact_FullMethodName, request: &pb.CompactionRequest{Revision: target.base, Physical: true}})
			a = target.do(call{method: pb.KV_Range_FullMethodName, request: &pb.RangeRequest{Key: all, RangeEnd: all}})
		}
		if a.err != nil || a.message.(*pb.RangeResponse).Count != 0 {
			s.t.Fatalf("the keys of %s cannot be removed: %v", target.args[0], a)
		}
	}
	if s.official.base != s.tested.base && !s.diverged {
		s.t.Fatalf("the sequence before has ended at different revisions: official %d, %s %d", s.official.base, subject(), s.tested.base)
	}
	s.newest, s.compacted = s.official.base, s.official.base
}

// compare sends a request to both, and fails if they answer differently.
func (s *sequence) compare(c call) {
	s.t.Logf("%v", c)
	official, tested := s.both(c)
	for _, target := range []*target{s.official, s.tested} {
		if target.alive.Err() != nil {
			s.diverged = true
			s.t.Logf("%s:\n%s", target.args[0], target.lastLines())
			s.t.Fatal("a server has crashed")
		}
	}
	if what, where := s.difference(c, official, tested); what != "" {
		s.diverged = true
		s.t.Logf("official: %v\n%s: %v\n%s", official, subject(), tested, where)
		s.t.Fatal(what) // without anything that differs from try to try, or it would not be simplified
	}
	s.note(c, official)
}

// both sends a request to both.
func (d *differential) both(c call) (official, tested answer) {
	done := make(chan answer)
	go func() { done <- d.official.do(c) }()
	tested = d.tested.do(c.shifted(d.tested.base - d.official.base))
	tested.shift(d.official.base - d.tested.base)
	return <-done, tested
}

// note learns from an answer.
func (s *sequence) note(c call, a answer) {
	s.compared++
	if a.err != nil {
		text, _, _ := strings.Cut(a.String(), "(")
		if a.code() == codes.Internal {
			text = "Internal: no message"
		}
		s.outcomes[text]++
		return
	}
	s.outcomes[c.method]++
	if m, ok := a.message.(interface{ GetHeader() *pb.ResponseHeader }); ok {
		s.newest = max(s.newest, m.GetHeader().GetRevision())
	}
	if q, ok := c.request.(*pb.CompactionRequest); ok && c.wire == nil {
		s.compacted = max(s.compacted, q.Revision)
	}
}

// do sends a request.
func (target *target) do(c call) answer {
	ctx, cancel := context.WithTimeout(target.alive, 20*time.Second)
	defer cancel()
	if c.method == pb.KV_RangeStream_FullMethodName {
		return target.doStream(ctx, c)
	}
	reply := c.newReply()
	if err := target.conn.Invoke(ctx, c.method, c.payload(), reply); err != nil {
		return answer{err: err}
	}
	return answer{message: reply}
}

// doStream merges the parts of a RangeStream.
func (target *target) doStream(ctx context.Context, c call) answer {
	stream, err := target.conn.NewStream(ctx, &pb.KV_ServiceDesc.Streams[0], c.method)
	if err == nil {
		err = stream.SendMsg(c.payload())
	}
	if err == nil {
		err = stream.CloseSend()
	}
	merged := &pb.RangeResponse{}
	for err == nil {
		part := &pb.RangeStreamResponse{}
		if err = stream.RecvMsg(part); err != nil {
			break
		}
		if merged.Header != nil {
			return answer{err: fmt.Errorf("another part comes after the one that has the header: %v", part)}
		}
		if r := part.GetRangeResponse(); r.GetHeader() == nil && (r.GetMore() || r.GetCount() != 0) {
			return answer{err: fmt.Errorf("a part has more or count and no header: %v", part)}
		}
		proto.Merge(merged, part.GetRangeResponse())
	}
	if err != io.EOF {
		return answer{err: err}
	}
	return answer{message: merged}
}

// answer is an answer or an error.
type answer struct {
	message proto.Message
	err     error
}

func (a answer) String() string {
	if a.err != nil {
		return fmt.Sprintf("%s: %s", status.Code(a.err), status.Convert(a.err).Message())
	}
	return short(a.message)
}

func (a answer) code() codes.Code { return status.Code(a.err) }
