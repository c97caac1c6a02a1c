package mvcc

import (
	"fmt"
	"math"
	"testing"

	"etcd/store/storepb"
)

func put(k *Keyspace, key, value string) Outcome {
	return k.Put(&storepb.Put{Key: []byte(key), Value: []byte(value)}, math.MaxUint64)
}

func TestSmoke(t *testing.T) {
	k := New()
	for i := range 1000 {
		put(k, fmt.Sprint("k", i%100), fmt.Sprint(i))
	}
	if k.Revision() != 1001 || k.Len() != 100 {
		t.Fatal(k.Revision(), k.Len())
	}
	f, err := k.Range(&storepb.Range{Key: []byte{0}, RangeEnd: []byte{0}, Revision: 500})
	if err != nil || f.Count != 100 {
		t.Fatal(f, err)
	}
	view := k.View()
	k.DeleteRange(&storepb.DeleteRange{Key: []byte("k1"), RangeEnd: []byte("k2")})
	k.Compact(k.Revision())
	for !k.Freed() {
		k.Free(7)
	}
	if k.heads.total().all != 89 || k.older.total().all != 0 {
		t.Fatal(k.heads.total(), k.older.total())
	}
	if view.older.total().all != 900 {
		t.Fatal(view.older.total())
	}
}
