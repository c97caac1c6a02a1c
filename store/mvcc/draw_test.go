package mvcc_test

import (
	"fmt"
	"math"

	"pgregory.net/rapid"

	"etcd/store/storepb"
)

// keys are few, so that commands collide, and prefixes of each other.
var keys = []string{"\x00", "a", "a\x00", "aa", "b", "k100", "k15", "\xff", "\xff\xff"}

func drawKey(t *rapid.T) []byte { return []byte(rapid.SampledFrom(keys).Draw(t, "key")) }

// drawEnd draws the end of a range: none, of a single key, or a key, also one before the first.
func drawEnd(t *rapid.T) []byte {
	return []byte(rapid.SampledFrom(append([]string{"", "", "\x00", "\x00"}, keys...)).Draw(t, "end"))
}

func drawPut(t *rapid.T) *storepb.Put {
	p := &storepb.Put{Key: drawKey(t), Value: []byte(rapid.SampledFrom([]string{"", "1", "22", "\xff\x00"}).Draw(t, "value"))}
	switch rapid.IntRange(0, 9).Draw(t, "kind of put") {
	case 0:
		p.IgnoreValue, p.Value = true, nil
	case 1:
		p.IgnoreLease = true
	case 2:
		p.IgnoreValue, p.IgnoreLease, p.Value = true, true, nil
	case 3:
		p.Lease = rapid.Int64Range(0, 2).Draw(t, "lease")
	}
	return p
}

func drawDelete(t *rapid.T) *storepb.DeleteRange {
	return &storepb.DeleteRange{Key: drawKey(t), RangeEnd: drawEnd(t)}
}

// drawRange draws a range at a revision up to one that is still to come.
func drawRange(t *rapid.T, revision int64) *storepb.Range {
	q := &storepb.Range{Key: drawKey(t), RangeEnd: drawEnd(t), Limit: rapid.Int64Range(-1, 5).Draw(t, "limit")}
	number := rapid.Int64Range(0, revision+1)
	if rapid.Bool().Draw(t, "at a revision") {
		q.Revision = rapid.Int64Range(-1, revision+1).Draw(t, "revision")
	}
	if rapid.Bool().Draw(t, "sorted") {
		q.Order, q.Descending = drawTarget(t), rapid.Bool().Draw(t, "descending")
	}
	if rapid.IntRange(0, 2).Draw(t, "filtered") == 0 {
		q.MinMod, q.MaxMod = number.Draw(t, "least mod"), number.Draw(t, "most mod")
	}
	if rapid.IntRange(0, 2).Draw(t, "filtered by creation") == 0 {
		q.MinCreate, q.MaxCreate = number.Draw(t, "least create"), number.Draw(t, "most create")
	}
	q.CountOnly = rapid.IntRange(0, 4).Draw(t, "count only") == 0
	return q
}

func drawTarget(t *rapid.T) storepb.Target {
	return storepb.Target(rapid.Int32Range(0, int32(len(storepb.Target_name)-1)).Draw(t, "target"))
}

func drawCompare(t *rapid.T, revision int64) *storepb.Compare {
	c := &storepb.Compare{
		Key: drawKey(t), Target: drawTarget(t),
		Relation: storepb.Relation(rapid.Int32Range(0, int32(len(storepb.Relation_name)-1)).Draw(t, "relation")),
		Value:    []byte(rapid.SampledFrom([]string{"", "1", "22"}).Draw(t, "value")),
		Number:   rapid.OneOf(rapid.Int64Range(-1, 2), rapid.Int64Range(0, revision+1)).Draw(t, "number"),
	}
	if rapid.Bool().Draw(t, "a range") {
		c.RangeEnd = drawEnd(t)
	}
	return c
}

// drawTxn draws a transaction, of reads alone if writes is false.
func drawTxn(t *rapid.T, revision int64, writes bool, depth int) *storepb.Txn {
	ops := func(label string) (list []*storepb.Op) {
		for range rapid.IntRange(0, 4).Draw(t, label) {
			op := &storepb.Op{}
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case kind < 4 && writes:
				op.Kind = &storepb.Op_Put{Put: drawPut(t)}
			case kind < 6 && writes:
				op.Kind = &storepb.Op_DeleteRange{DeleteRange: drawDelete(t)}
			case kind < 8 && depth > 0:
				op.Kind = &storepb.Op_Txn{Txn: drawTxn(t, revision, writes, depth-1)}
			default:
				op.Kind = &storepb.Op_Range{Range: drawRange(t, revision)}
			}
			list = append(list, op)
		}
		return list
	}
	m := &storepb.Txn{}
	for range rapid.IntRange(0, 2).Draw(t, "comparisons") {
		m.Compare = append(m.Compare, drawCompare(t, revision))
	}
	m.Success, m.Failure = ops("success"), ops("failure")
	return m
}

func drawRoom(t *rapid.T) uint64 {
	return rapid.OneOf(rapid.Just(uint64(math.MaxUint64)), rapid.Just(uint64(math.MaxUint64)), rapid.Uint64Range(0, 600)).Draw(t, "room")
}

// manyKeys are more than a page of a tree has.
const manyKeys = 200

func manyKey(i int) []byte { return fmt.Appendf(nil, "k%03d", i%manyKeys) }
