package grpcfront

import (
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"pgregory.net/rapid"
)

func putOp(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
}

func deleteOp(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func txnOp(success, failure []*pb.RequestOp) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: success, Failure: failure}}}
}

// leaf is a put, or a deletion, and where it is: the operation of each list on the way to it, and which list of
// that.
type leaf struct {
	put      bool
	key, end string
	path     []step
}

type step struct {
	op      int
	failure bool
}

func leaves(list []*pb.RequestOp, at []step) (all []leaf) {
	for i, op := range list {
		here := func(failure bool) []step { return append(slices.Clone(at), step{i, failure}) }
		switch kind := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			all = append(all, leaf{put: true, key: string(kind.RequestPut.GetKey()), path: here(false)})
		case *pb.RequestOp_RequestDeleteRange:
			r := kind.RequestDeleteRange
			all = append(all, leaf{key: string(r.GetKey()), end: string(r.GetRangeEnd()), path: here(false)})
		case *pb.RequestOp_RequestTxn:
			all = append(all, leaves(kind.RequestTxn.GetSuccess(), here(false))...)
			all = append(all, leaves(kind.RequestTxn.GetFailure(), here(true))...)
		}
	}
	return all
}

// clash reports whether a put must not be in one transaction with something else.
func (put leaf) clash(other leaf) bool {
	if other.put && other.key != put.key {
		return false
	}
	open := other.end == "\x00"
	if !other.put && other.key != put.key && (other.end == "" || put.key < other.key || put.key >= other.end && !open) {
		return false
	}
	if !other.put && other.end != "" && other.end <= other.key && !open { // it holds nothing
		return false
	}
	level := 0
	for put.path[level] == other.path[level] {
		level++
	}
	a, b := put.path[level], other.path[level]
	switch {
	case a.op == b.op: // the other list of one transaction
		return false
	case other.put, level == len(put.path)-1, level == len(other.path)-1:
		return true
	}
	return b.op < a.op
}

func hasClash(list []*pb.RequestOp) bool {
	all := leaves(list, nil)
	for i, a := range all {
		for j, b := range all {
			if i != j && a.put && a.clash(b) {
				return true
			}
		}
	}
	return false
}

func TestDuplicates(t *testing.T) {
	keys := rapid.SampledFrom([]string{"a", "ab", "b", "c", "d", "e", "f"})
	ends := rapid.SampledFrom([]string{"", "", "\x00", "a", "b", "bb", "d", "g"})
	var list func(depth int) *rapid.Generator[[]*pb.RequestOp]
	list = func(depth int) *rapid.Generator[[]*pb.RequestOp] {
		return rapid.Custom(func(t *rapid.T) (ops []*pb.RequestOp) {
			for range rapid.IntRange(0, 4).Draw(t, "ops") {
				switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
				case kind < 2:
					ops = append(ops, putOp(keys.Draw(t, "key")))
				case kind == 2:
					ops = append(ops, deleteOp(keys.Draw(t, "key"), ends.Draw(t, "end")))
				case kind == 3:
					ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a")}}})
				case depth > 0:
					ops = append(ops, txnOp(list(depth-1).Draw(t, "success"), list(depth-1).Draw(t, "failure")))
				}
			}
			return ops
		})
	}
	seen := make(map[bool]int)
	rapid.Check(t, func(t *rapid.T) {
		r := &pb.TxnRequest{Success: list(2).Draw(t, "success"), Failure: list(2).Draw(t, "failure")}
		want := hasClash(r.GetSuccess()) || hasClash(r.GetFailure())
		seen[want]++
		if got := checkDuplicates(r); (got == rpctypes.ErrGRPCDuplicateKey) != want || got != nil && !want {
			t.Fatalf("%v: %v, want a duplicate: %v", r, got, want)
		}
	})
	if len(seen) < 2 {
		t.Errorf("all the same: %v", seen)
	}
}

// The largest transactions, however they are nested, are checked as small ones are.
func TestLargeTransactions(t *testing.T) {
	const most = DefaultMaxTxnOps
	n := 0
	next := func() string { n++; return fmt.Sprint(n) }
	var tree func(widths ...int) []*pb.RequestOp
	tree = func(widths ...int) (ops []*pb.RequestOp) {
		for range widths[0] {
			if len(widths) == 1 {
				ops = append(ops, putOp(next()), deleteOp("x"+next(), ""))
				continue
			}
			ops = append(ops, txnOp(tree(widths[1:]...), tree(widths[1:]...)))
		}
		return ops
	}
	chain := []*pb.RequestOp{putOp("a")}
	for range most - 1 {
		chain = []*pb.RequestOp{txnOp(chain, nil)}
	}
	for name, ops := range map[string][]*pb.RequestOp{
		"wide": tree(1, 63), "square": tree(64, 32), "deep": tree(slices.Repeat([]int{2}, 8)...), "a chain": chain,
	} {
		if err := checkTxn(&pb.TxnRequest{Success: ops}, most); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checkTxn(&pb.TxnRequest{Success: []*pb.RequestOp{txnOp(chain, nil)}}, most); err != rpctypes.ErrGRPCTooManyOps {
		t.Errorf("a longer chain: %v", err)
	}
	again := fmt.Sprint(n + 1)
	if err := checkDuplicates(&pb.TxnRequest{Success: append(tree(64, 32), putOp(again))}); err != rpctypes.ErrGRPCDuplicateKey {
		t.Errorf("a duplicate among many: %v", err)
	}
}
