package mvcc_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"etcd/store/mvcc"
	"etcd/store/storepb"
)

const million = 1_000_000

func benchKey(i int) []byte { return fmt.Appendf(nil, "/registry/%07d", i) }

// putAll writes a million keys in random order, if that is asked for, with values of 64 bytes.
func putAll(k *mvcc.Keyspace, shuffled bool) {
	rnd := rand.New(rand.NewPCG(1, 1))
	order := rnd.Perm(million)
	for i := range million {
		if shuffled {
			i = order[i]
		}
		k.Put(&storepb.Put{Key: benchKey(i), Value: make([]byte, 64)}, math.MaxUint64)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, of := range []string{"new", "overwrite", "overwrite beside a view"} {
		b.Run(of, func(b *testing.B) {
			k := mvcc.New()
			putAll(k, true)
			rnd := rand.New(rand.NewPCG(2, 2))
			puts := make([]*storepb.Put, b.N)
			for i := range puts {
				key := benchKey(rnd.IntN(million))
				if of == "new" {
					key = fmt.Appendf(key, "/%d", i)
				}
				puts[i] = &storepb.Put{Key: key, Value: make([]byte, 64)}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i, p := range puts {
				if of == "overwrite beside a view" && i%100 == 0 {
					k.View()
				}
				k.Put(p, math.MaxUint64)
			}
		})
	}
}

func BenchmarkRange(b *testing.B) {
	k := mvcc.New()
	putAll(k, true)
	middle := k.Revision()
	putAll(k, true)
	rnd := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{1, 100} {
		for _, revision := range []int64{0, middle} {
			b.Run(fmt.Sprintf("keys=%d,old=%t", n, revision > 0), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					at := rnd.IntN(million - n)
					q := &storepb.Range{Key: benchKey(at), Revision: revision}
					if n > 1 {
						q.RangeEnd = benchKey(at + n)
					}
					if found, err := k.Range(q); err != nil || found.Count != int64(n) {
						b.Fatal(found.Count, err)
					}
				}
			})
		}
	}
	b.Run("count of all", func(b *testing.B) {
		for range b.N {
			if found, _ := k.Range(&storepb.Range{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true}); found.Count != million {
				b.Fatal(found.Count)
			}
		}
	})
}

// BenchmarkMemory measures what a key takes, and what each older version does.
func BenchmarkMemory(b *testing.B) {
	for _, shuffled := range []bool{false, true} {
		b.Run(fmt.Sprintf("shuffled=%t", shuffled), func(b *testing.B) {
			for range b.N {
				before := heap()
				k := mvcc.New()
				putAll(k, shuffled)
				keys := heap()
				putAll(k, shuffled)
				versions := heap()
				b.ReportMetric(float64(keys-before)/million, "B/key")
				b.ReportMetric(float64(versions-keys)/million, "B/version")
				runtime.KeepAlive(k)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFree measures the longest slice of 100 changes, as the store actor frees them, beside a view that shares everything.
func BenchmarkFree(b *testing.B) {
	for range b.N {
		k := mvcc.New()
		putAll(k, true)
		putAll(k, true)
		k.Compact(k.Revision())
		runtime.GC()
		var longest, all time.Duration
		slices, slow := 0, 0
		for !k.Freed() {
			if slices%100 == 0 {
				k.View()
			}
			began := time.Now()
			k.Free(100)
			took := time.Since(began)
			if took > time.Millisecond {
				slow++
			}
			longest, all, slices = max(longest, took), all+took, slices+1
		}
		b.ReportMetric(float64(longest.Microseconds()), "µs/longest-slice")
		b.ReportMetric(float64(all.Microseconds())/float64(slices), "µs/slice")
		b.ReportMetric(float64(slow), "slices-over-1ms")
	}
}

func BenchmarkDeleteMillion(b *testing.B) {
	for range b.N {
		b.StopTimer()
		k := mvcc.New()
		putAll(k, true)
		view := k.View()
		runtime.GC()
		b.StartTimer()
		if out := k.DeleteRange(&storepb.DeleteRange{Key: []byte("/"), RangeEnd: []byte("0")}); out.Deletions != million {
			b.Fatal(out.Deletions)
		}
		runtime.KeepAlive(view)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	k := mvcc.New()
	putAll(k, true)
	putAll(k, true)
	b.Run("write", func(b *testing.B) {
		for range b.N {
			n := 0
			for range k.Versions() {
				n++
			}
			if n != 2*million {
				b.Fatal(n)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		for range b.N {
			l, err := mvcc.NewLoader(k.Revision(), k.Compacted())
			if err != nil {
				b.Fatal(err)
			}
			for v := range k.Versions() {
				if err := l.Add(&mvcc.Entry{
					Key: v.KeyBytes(), Value: bytes.Clone(v.Value()), Mod: v.Mod, Create: v.Create, Count: v.Count, Lease: v.Lease, Sub: v.Sub(),
				}); err != nil {
					b.Fatal(err)
				}
			}
			if l.Keyspace().Len() != million {
				b.Fatal("keys are missing")
			}
		}
	})
}
