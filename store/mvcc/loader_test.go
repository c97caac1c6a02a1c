package mvcc_test

import (
	"math"
	"slices"
	"testing"

	"etcd/internal/mvccmodel"
	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// entries reads what to say to a loader from bytes.
type entries struct {
	data []byte
}

// number returns small numbers, and those at the ends.
func (e *entries) number() int64 {
	if len(e.data) == 0 {
		return 0
	}
	n := e.data[0]
	e.data = e.data[1:]
	switch {
	case n == 0xff:
		return math.MaxInt64
	case n == 0xfe:
		return math.MaxInt64 / 2
	case n == 0xfd:
		return math.MinInt64
	case n >= 0xf8:
		return int64(n) - 0xfd
	}
	return int64(n)
}

func (e *entries) next() *mvcc.Entry {
	what := e.number()
	key := []string{"", "a", "a\x00", "aa", "ab", "b", "\xff", "\xff\xff"}[what&7]
	entry := &mvcc.Entry{Key: []byte(key), Mod: e.number(), Sub: uint32(e.number())}
	if what&8 > 0 { // a deletion, if nothing else is odd
		return entry
	}
	entry.Create, entry.Count = e.number(), e.number()
	if what&16 > 0 {
		entry.Lease = e.number()
	}
	entry.Value = make([]byte, what>>5&3)
	return entry
}

// Whatever is said to a loader: it refuses, or makes a keyspace that has what was said, and lives with it.
func FuzzLoader(f *testing.F) {
	for _, seed := range []string{
		"\x09\xfc\x01\x02\x00\x02\x01\x01\x03\x00\x02\x02\x09\x04\x00\x01\x05\x00\x05\x01",
		"\x09\x04\x01\x03\x00\x02\x02\x21\x05\x00\x02\x03\x02\x06\x00\x06\x01\x0a\x07\x00",
		"\x02\xfc\x01\x02\x00\x02\x01\x02\x02\x00\x02\x01",
		"\xfe\xfe\x01\xfe\xfc\xfe\xfe",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &entries{data}
		revision, compacted := in.number(), in.number()
		l, err := mvcc.NewLoader(revision, compacted)
		if err != nil {
			return
		}
		var said []mvccmodel.Version
		size, live := uint64(0), map[string]bool{}
		for len(in.data) > 0 {
			e := in.next()
			if l.Add(e) != nil {
				continue
			}
			said = append(said, mvccmodel.Version{
				Key: string(e.Key), Value: string(e.Value), Deleted: e.Create == 0,
				Mod: e.Mod, Create: e.Create, Count: e.Count, Lease: e.Lease, Sub: int(e.Sub),
			})
			size += mvcc.Overhead + uint64(len(e.Key)+len(e.Value))
			if live[string(e.Key)] = e.Create > 0; e.Create == 0 {
				delete(live, string(e.Key))
			}
		}
		k := l.Keyspace()
		if k.Revision() != revision || k.Compacted() != compacted || k.Size() != size || k.Len() != len(live) || !slices.Equal(collect(k.Versions()), said) {
			t.Fatalf("revision %d, compacted %d, %d bytes, %d keys and\n%v, want %d, %d, %d, %d and\n%v", k.Revision(), k.Compacted(), k.Size(), k.Len(),
				collect(k.Versions()), revision, compacted, size, len(live), said)
		}
		for _, v := range said {
			found, err := k.Range(&storepb.Range{Key: []byte(v.Key), Revision: v.Mod})
			if want := v.Mod >= compacted; (err == nil) != want || !v.Deleted && want && found.Count != 1 && !replacedWithin(v, said) {
				t.Fatalf("%v is not found at its revision: %v, %v", v, found, err)
			}
		}
		if int64(len(collect(k.Changes(compacted+1)))) > int64(len(said)) {
			t.Fatal("more changes than versions")
		}
		k.Put(&storepb.Put{Key: []byte("a")}, math.MaxUint64)
		k.DeleteRange(&storepb.DeleteRange{Key: []byte{0}, RangeEnd: []byte{0}})
		for _, at := range []int64{compacted + 1, revision, k.Revision()} {
			k.Compact(at)
			k.Free(3)
			size := uint64(0)
			for v := range k.Versions() {
				size += mvcc.Overhead + uint64(len(v.Key())+len(v.Value()))
			}
			if size != k.Size() {
				t.Fatalf("compacted at %d it has %d bytes, and says %d", at, size, k.Size())
			}
			if err := k.Check(nil); err != nil {
				t.Fatal(err)
			}
		}
		for !k.Freed() {
			k.Free(10)
		}
		if k.InMemory() != 0 || k.Len() != 0 {
			t.Fatalf("%d versions of %d keys are left", k.InMemory(), k.Len())
		}
	})
}

// replacedWithin reports whether a version was replaced by another one of its revision.
func replacedWithin(v mvccmodel.Version, all []mvccmodel.Version) bool {
	return slices.ContainsFunc(all, func(other mvccmodel.Version) bool {
		return other.Key == v.Key && other.Mod == v.Mod && other.Sub > v.Sub
	})
}
