package mvcc_test

import (
	"errors"
	"math"
	"runtime"
	"testing"

	"etcd/store/mvcc"
	"etcd/store/storepb"
)

func wholeRange(revision int64) *storepb.Op {
	return &storepb.Op{Kind: &storepb.Op_Range{Range: &storepb.Range{Key: []byte{0}, RangeEnd: []byte{0}, Revision: revision}}}
}

// A transaction may look at all keys once, however many they are, and at a million more. All machines say the same of
// it, whatever they have freed.
func TestTooLarge(t *testing.T) {
	k := mvcc.New()
	// What is read at a revision counts by the size of the keyspace: as 560,000 keys.
	for range 2 {
		k.Put(&storepb.Put{Key: []byte("a"), Value: make([]byte, 280_000*mvcc.Overhead)}, math.MaxUint64)
	}
	put := &storepb.Op{Kind: &storepb.Op_Put{Put: &storepb.Put{Key: []byte("b")}}}
	txn := func(ranges int) *storepb.Txn {
		m := &storepb.Txn{Failure: []*storepb.Op{put}}
		for range ranges {
			m.Success = append(m.Success, wholeRange(2))
		}
		return &storepb.Txn{Success: []*storepb.Op{{Kind: &storepb.Op_Txn{Txn: m}}}}
	}
	for ranges, want := range map[int]error{2: nil, 3: mvcc.ErrTooLarge} {
		if out := k.ReadTxn(txn(ranges)); !errors.Is(out.Err, want) {
			t.Errorf("%d ranges: %v, want %v", ranges, out.Err, want)
		}
		if out := k.Txn(txn(ranges), math.MaxUint64, true); !errors.Is(out.Err, want) {
			t.Errorf("%d ranges and perhaps a put: %v, want %v", ranges, out.Err, want)
		}
	}
	k.Compact(k.Revision())
	if out := k.Txn(txn(3), math.MaxUint64, true); !errors.Is(out.Err, mvcc.ErrCompacted) {
		t.Errorf("with nothing freed: %v", out.Err)
	}
}

// What nobody asks for is not looked for, and the changes are the same.
func TestUnasked(t *testing.T) {
	m := &storepb.Txn{Success: []*storepb.Op{{Kind: &storepb.Op_Put{Put: &storepb.Put{Key: []byte("a")}}}, wholeRange(0)}}
	one, other := mvcc.New(), mvcc.New()
	asked, unasked := one.Txn(m, math.MaxUint64, true), other.Txn(m, math.MaxUint64, false)
	if found := asked.Txn.Steps[1].Found; len(found.Versions) != 1 || len(unasked.Txn.Steps[1].Found.Versions) != 0 {
		t.Errorf("asked: %v; not: %v", asked, unasked)
	}
	if one.Revision() != other.Revision() || one.Size() != other.Size() {
		t.Error("they differ")
	}
}

// After a compaction nothing holds what it has freed, though the changes of its chunk are still in the log.
func TestNothingIsPinned(t *testing.T) {
	k := mvcc.New()
	freed := make(chan struct{})
	value := make([]byte, 1<<20)
	runtime.AddCleanup(&value[0], func(struct{}) { close(freed) }, struct{}{})
	k.Put(&storepb.Put{Key: []byte("a"), Value: value}, math.MaxUint64)
	k.Put(&storepb.Put{Key: []byte("a")}, math.MaxUint64)
	k.Compact(k.Revision())
	for !k.Freed() {
		k.Free(1)
	}
	runtime.GC()
	<-freed
	runtime.KeepAlive(k)
}
