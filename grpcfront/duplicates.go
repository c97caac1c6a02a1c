package grpcfront

import (
	"bytes"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// A transaction must not put a key twice, nor put one that a deletion of it holds, on a path that its comparisons
// may take. As in etcd,
//   - the two lists of one transaction exclude each other;
//   - what one nested transaction deletes is held against the puts of those behind it, not of those before;
//   - a range that ends before it begins holds nothing, and so does one without an end, whose range_end is a zero
//     byte.

// checkDuplicates checks a transaction whose operations are all valid.
func checkDuplicates(r *pb.TxnRequest) error {
	for _, list := range [...][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		if isAlone(list) {
			continue
		}
		if _, ok := changesOf(list); !ok {
			return rpctypes.ErrGRPCDuplicateKey
		}
	}
	return nil
}

// isAlone reports whether a list has no more than one operation that changes anything.
func isAlone(list []*pb.RequestOp) bool {
	changes := 0
	for _, op := range list {
		switch op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
		case *pb.RequestOp_RequestTxn:
			return false
		default:
			changes++
		}
	}
	return changes <= 1
}

// changes are what a list of operations may change, whatever the comparisons of nested transactions say. Sets of
// keys and of spans are sorted, so that they are compared and united in one pass: that of two lists is no more
// than the size of the request, and an operation is in as many passes as its path has siblings, which the limit of operations bounds.
type changes struct {
	puts keySet
	dels spanSet
}

type (
	keySet  [][]byte
	spanSet []span
	// span is the keys from one up to another, which is not part of it.
	span struct{ from, to []byte }
)

// changesOf returns what a list changes; ok is false if it has a duplicate.
func changesOf(list []*pb.RequestOp) (c changes, ok bool) {
	var puts keySet
	for _, op := range list {
		switch kind := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			puts = append(puts, kind.RequestPut.GetKey())
		case *pb.RequestOp_RequestDeleteRange:
			if s := spanOf(kind.RequestDeleteRange); bytes.Compare(s.from, s.to) < 0 {
				c.dels = append(c.dels, s)
			}
		}
	}
	c.dels = c.dels.normal()
	for _, op := range list {
		if nested, isTxn := op.GetRequest().(*pb.RequestOp_RequestTxn); isTxn {
			success, ok := changesOf(nested.RequestTxn.GetSuccess())
			if !ok {
				return c, false
			}
			failure, ok := changesOf(nested.RequestTxn.GetFailure())
			if !ok || c.excludes(success.puts) || c.excludes(failure.puts) {
				return c, false
			}
			c.puts = c.puts.union(success.puts.union(failure.puts))
			c.dels = c.dels.union(success.dels.union(failure.dels))
		}
	}
	slices.SortFunc(puts, bytes.Compare)
	for i := 1; i < len(puts); i++ {
		if bytes.Equal(puts[i-1], puts[i]) {
			return c, false
		}
	}
	if c.excludes(puts) {
		return c, false
	}
	c.puts = c.puts.union(puts)
	return c, true
}

// excludes reports whether one of the keys must not be put besides what is changed.
func (c *changes) excludes(keys keySet) bool { return c.puts.meets(keys) || c.dels.holds(keys) }

// spanOf returns the keys of a deletion.
func spanOf(r *pb.DeleteRangeRequest) span {
	if end := r.GetRangeEnd(); len(end) > 0 {
		return span{r.GetKey(), end}
	}
	key := r.GetKey()
	return span{key, append(key[:len(key):len(key)], 0)}
}

// meets reports whether two sets have a key in common.
func (a keySet) meets(b keySet) bool {
	for len(a) > 0 && len(b) > 0 {
		switch bytes.Compare(a[0], b[0]) {
		case 0:
			return true
		case -1:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// union returns the keys of both.
func (a keySet) union(b keySet) keySet {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	all := make(keySet, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		c := bytes.Compare(a[0], b[0])
		if c <= 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all = append(all, b[0])
		}
		if c >= 0 {
			b = b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// holds reports whether one of the keys is in a span.
func (s spanSet) holds(keys keySet) bool {
	for len(s) > 0 && len(keys) > 0 {
		switch {
		case bytes.Compare(keys[0], s[0].from) < 0:
			keys = keys[1:]
		case bytes.Compare(keys[0], s[0].to) < 0:
			return true
		default:
			s = s[1:]
		}
	}
	return false
}

// union returns the spans of both.
func (s spanSet) union(other spanSet) spanSet {
	switch {
	case len(s) == 0:
		return other
	case len(other) == 0:
		return s
	}
	all := make(spanSet, 0, len(s)+len(other))
	for len(s) > 0 && len(other) > 0 {
		if bytes.Compare(s[0].from, other[0].from) <= 0 {
			all, s = append(all, s[0]), s[1:]
		} else {
			all, other = append(all, other[0]), other[1:]
		}
	}
	return append(append(all, s...), other...).joined()
}

// normal returns the spans sorted and joined. It changes s.
func (s spanSet) normal() spanSet {
	slices.SortFunc(s, func(a, b span) int { return bytes.Compare(a.from, b.from) })
	return s.joined()
}

// joined returns sorted spans with those joined that have keys in common. It changes s.
func (s spanSet) joined() spanSet {
	if len(s) == 0 {
		return s
	}
	all := s[:1]
	for _, next := range s[1:] {
		last := &all[len(all)-1]
		switch {
		case bytes.Compare(next.from, last.to) > 0:
			all = append(all, next)
		case bytes.Compare(next.to, last.to) > 0:
			last.to = next.to
		}
	}
	return all
}
