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
//   - a range that ends before it begins holds nothing.
//
// etcd takes a put of a key in a range without an end, whose range_end is a zero byte, and does not survive it.

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

// changes are what a list of operations may change, whatever the comparisons of nested transactions say.
type changes struct {
	puts layers[keySet]
	dels layers[spanSet]
}

type (
	// keySet is sorted.
	keySet [][]byte
	// spanSet is sorted, and no two spans have a key in common.
	spanSet []span
	// span is the keys from one up to another, which is not part of it; nil is behind all keys.
	span struct{ from, to []byte }

	// layers are sets that are one together. Each is at least twice as large as the next, so there are few of them,
	// and it takes n log n to add n elements one by one, however a request is nested.
	layers[S set[S]] []S
	set[S any]       interface {
		union(S) S
		size() int
	}
)

// with returns the layers with another set.
func (l layers[S]) with(s S) layers[S] {
	if s.size() == 0 {
		return l
	}
	l = append(l, s)
	for n := len(l); n > 1 && l[n-2].size() < 2*l[n-1].size(); n = len(l) {
		l = append(l[:n-2], l[n-2].union(l[n-1]))
	}
	return l
}

// and returns the layers with others, which are used up.
func (l layers[S]) and(others layers[S]) layers[S] {
	if len(l) == 0 {
		return others
	}
	for _, s := range others {
		l = l.with(s)
	}
	return l
}

// changesOf returns what a list changes; ok is false if it has a duplicate.
func changesOf(list []*pb.RequestOp) (c changes, ok bool) {
	var puts keySet
	var dels spanSet
	for _, op := range list {
		switch kind := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			puts = append(puts, kind.RequestPut.GetKey())
		case *pb.RequestOp_RequestDeleteRange:
			if s := spanOf(kind.RequestDeleteRange); s.isBefore(s.from) {
				dels = append(dels, s)
			}
		}
	}
	c.dels = c.dels.with(dels.normal())
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
			c.puts = c.puts.and(success.puts).and(failure.puts)
			c.dels = c.dels.and(success.dels).and(failure.dels)
		}
	}
	slices.SortFunc(puts, bytes.Compare)
	for i := 1; i < len(puts); i++ {
		if bytes.Equal(puts[i-1], puts[i]) {
			return c, false
		}
	}
	if c.excludes(layers[keySet]{puts}) {
		return c, false
	}
	c.puts = c.puts.with(puts)
	return c, true
}

// excludes reports whether one of the keys must not be put besides what is changed.
func (c *changes) excludes(all layers[keySet]) bool {
	for _, keys := range all {
		for _, puts := range c.puts {
			if puts.meets(keys) {
				return true
			}
		}
		for _, dels := range c.dels {
			if dels.holds(keys) {
				return true
			}
		}
	}
	return false
}

// spanOf returns the keys of a deletion.
func spanOf(r *pb.DeleteRangeRequest) span {
	key, end := r.GetKey(), r.GetRangeEnd()
	switch {
	case len(end) == 0:
		return span{key, append(key[:len(key):len(key)], 0)}
	case len(end) == 1 && end[0] == 0:
		return span{key, nil}
	}
	return span{key, end}
}

// isBefore reports whether a key is before the end of a span.
func (s span) isBefore(key []byte) bool { return s.to == nil || bytes.Compare(key, s.to) < 0 }

func (a keySet) size() int { return len(a) }

// meets reports whether two sets have a key in common.
func (a keySet) meets(b keySet) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	for _, key := range b {
		i, found := slices.BinarySearchFunc(a, key, bytes.Compare)
		if found {
			return true
		}
		a = a[i:]
	}
	return false
}

// union returns the keys of both, those that are in both twice.
func (a keySet) union(b keySet) keySet {
	all := make(keySet, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if bytes.Compare(a[0], b[0]) <= 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}

func (s spanSet) size() int { return len(s) }

// holds reports whether one of the keys is in a span.
func (s spanSet) holds(keys keySet) bool {
	if len(s) < len(keys) {
		for _, span := range s {
			i, _ := slices.BinarySearchFunc(keys, span.from, bytes.Compare)
			if keys = keys[i:]; len(keys) > 0 && span.isBefore(keys[0]) {
				return true
			}
		}
		return false
	}
	for _, key := range keys {
		i, found := slices.BinarySearchFunc(s, key, func(s span, key []byte) int { return bytes.Compare(s.from, key) })
		if found || i > 0 && s[i-1].isBefore(key) {
			return true
		}
	}
	return false
}

// union returns the spans of both.
func (s spanSet) union(other spanSet) spanSet {
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

// normal returns spans as a set. It changes s.
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
		case !last.isBefore(next.from) && !bytes.Equal(next.from, last.to):
			all = append(all, next)
		case last.to != nil && (next.to == nil || !last.isBefore(next.to)):
			last.to = next.to
		}
	}
	return all
}
