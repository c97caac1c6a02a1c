package store_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime"
	"testing"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// keys is a tree of n files, a hundred in a directory.
func keys(b *testing.B, n int) *store.Store {
	s := store.New()
	apply(b, s, 1, 0, raise(store.Commands.Max, 9))
	apply(b, s, 2, 0, configure(0))
	for i := range n {
		apply(b, s, uint64(i+3), 0, set(benchPath(i), fmt.Sprintf("value number %08d", i)))
	}
	return s
}

func benchPath(i int) string { return fmt.Sprintf("/bench/%05d/key-%08d", i/100, i) }

func BenchmarkApplySet(b *testing.B) {
	for _, n := range []int{1_000, 500_000} {
		b.Run(fmt.Sprintf("replace-%d", n), func(b *testing.B) {
			s := keys(b, n)
			apply(b, s, s.Index()+1, 0, configure(tree.DefaultHistoryLimit))
			commands := make([][]byte, 1000)
			for i := range commands {
				commands[i] = store.Encode(set(benchPath(i*(n/1000)), "a value of thirty-two characters"))
			}
			index := s.Index()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				index++
				if _, err := s.Apply(index, 0, commands[i%1000]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("new", func(b *testing.B) {
		s := store.New()
		var index uint64
		b.ReportAllocs()
		for b.Loop() {
			index++
			b.StopTimer()
			command := store.Encode(set(benchPath(int(index)), "a value of thirty-two characters"))
			b.StartTimer()
			if _, err := s.Apply(index, 0, command); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The first write after a view, which copies the pages that the view shares.
func BenchmarkSetAfterView(b *testing.B) {
	s := keys(b, 500_000)
	index := s.Index()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.View()
		index++
		apply(b, s, index, 0, set(benchPath(i*7919%500_000), "a value of thirty-two characters"))
	}
}

// The time must not depend on how much is in the directory, with deadlines or without, nor on
// whether a view shares it.
func BenchmarkRemoveDirectory(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		for _, ttl := range []*int64{nil, new(int64(1) << 40)} {
			b.Run(fmt.Sprintf("%d/expiring=%v", n, ttl != nil), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					s := store.New()
					apply(b, s, 1, 0, configure(0))
					for i := range n {
						command := set(benchPath(i), "value")
						command.GetSet().TtlNs = ttl
						apply(b, s, uint64(i+2), 0, command)
					}
					view := s.View()
					b.StartTimer()
					apply(b, s, s.Index()+1, 0, &storepb.Command{Kind: &storepb.Command_Delete{
						Delete: &storepb.Delete{Path: "/bench", Recursive: true},
					}})
					if s.NextDeadline() != 0 {
						b.Fatal("something still expires")
					}
					runtime.KeepAlive(view)
				}
			})
		}
	}
}

// A file that comes and goes: beside a Set, what a removal costs.
func BenchmarkSetAndRemove(b *testing.B) {
	s := keys(b, 500_000)
	apply(b, s, s.Index()+1, 0, configure(tree.DefaultHistoryLimit))
	var commands [][]byte
	for i := range 1000 {
		path := benchPath(i*500) + "-lock"
		commands = append(commands, store.Encode(set(path, "owner")), store.Encode(remove(path)))
	}
	index := s.Index()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for j := range 2 {
			index++
			if _, err := s.Apply(index, 0, commands[i%1000*2+j]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// Where a watch may begin that asks for one event more than the history has, if it wants none of the
// events there, fifty, or all.
func BenchmarkFirstChange(b *testing.B) {
	s := keys(b, 500_000)
	apply(b, s, s.Index()+1, 0, configure(tree.DefaultHistoryLimit))
	for i := range tree.DefaultHistoryLimit + 1 {
		apply(b, s, s.Index()+1, 0, set(benchPath(250_000+i*2%250_000), "changed"))
	}
	for _, c := range []struct {
		path string
		ok   bool
	}{{benchPath(1), true}, {"/bench/00001", true}, {"/bench/00001/missing", true}, {"/bench/03000", true}, {"/bench", false}} {
		b.Run(c.path[1:], func(b *testing.B) {
			since := s.History().Cleared()
			for b.Loop() {
				if _, ok := s.FirstChange(c.path, true, since); ok != c.ok {
					b.Fatal(ok)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := keys(b, 500_000)
	path := benchPath(123_456)
	b.ReportAllocs()
	for b.Loop() {
		if _, f := s.Get(path); f != nil {
			b.Fatal(f)
		}
	}
}

// Children of a directory of 5,000 directories with a hundred files in each.
func BenchmarkChildren(b *testing.B) {
	s := keys(b, 500_000)
	for b.Loop() {
		if n := len(s.Children("/bench", "", math.MaxInt)); n != 5000 {
			b.Fatal(n)
		}
	}
}

// The time must not depend on the number of keys.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{1_000, 500_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := keys(b, n)
			for b.Loop() {
				s.View()
			}
		})
	}
}

func BenchmarkWriteTo(b *testing.B) {
	sn := keys(b, 500_000).View()
	var size int64
	for b.Loop() {
		n, err := sn.WriteTo(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		size = n
	}
	b.SetBytes(size)
}

func BenchmarkRestore(b *testing.B) {
	data := snapshot(b, keys(b, 500_000).View())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := store.Restore(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// Bytes of heap a key takes, without a history and with all of it.
func BenchmarkMemory(b *testing.B) {
	const n = 500_000
	heap := func() float64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		s := keys(b, n)
		b.ReportMetric((heap()-before)/n, "B/key")
		apply(b, s, s.Index()+1, 0, configure(tree.DefaultHistoryLimit))
		before = heap()
		for i := range tree.DefaultHistoryLimit {
			apply(b, s, s.Index()+1, 0, set(benchPath(i), fmt.Sprintf("value number %08d", i)))
		}
		b.ReportMetric((heap()-before)/tree.DefaultHistoryLimit, "B/event")
		runtime.KeepAlive(s)
	}
}
