package watch_test

import (
	"fmt"
	"runtime"
	"testing"

	"etcd/store"
	"etcd/watch"
)

// idle are watchers of keys that nobody writes, one of each.
func idle(b *testing.B, hub *watch.Hub, n int) {
	b.Helper()
	for i := range n {
		if _, err := hub.Add(&watch.Watcher{ID: uint64(1 + i), Path: fmt.Sprintf("/idle/%08d", i), Recursive: true}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func event(b *testing.B, s *store.Store, path string) (*store.Event, store.History) {
	b.Helper()
	result, err := s.Apply(s.Index()+1, 0, store.Encode(set(path)))
	if err != nil || result.Event == nil {
		b.Fatalf("%+v, %v", result, err)
	}
	return result.Event, s.History()
}

// An event costs the same however many watchers wait for other keys.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 50_000} {
		b.Run(fmt.Sprintf("idle=%d", n), func(b *testing.B) {
			s := store.New()
			hub := watch.NewHub(s.History())
			idle(b, hub, n)
			if _, err := hub.Add(&watch.Watcher{ID: 1 << 40, Path: "/busy", Recursive: true, Stream: true}, nil); err != nil {
				b.Fatal(err)
			}
			e, history := event(b, s, "/busy/key/below")
			events, out := []*store.Event{e}, make([]watch.Delivery, 0, 1)
			b.ReportAllocs()
			for b.Loop() {
				if out = hub.Publish(events, history, out[:0]); len(out) != 1 {
					b.Fatalf("%d deliveries", len(out))
				}
			}
		})
	}
}

// Removing a directory is the one event for which all watched paths are looked at.
func BenchmarkPublishRemovedDirectory(b *testing.B) {
	s := store.New()
	hub := watch.NewHub(s.History())
	idle(b, hub, 50_000)
	event(b, s, "/dir/key")
	result, err := s.Apply(s.Index()+1, 0, store.Encode(remove("/dir")))
	if err != nil {
		b.Fatal(err)
	}
	events, history := []*store.Event{result.Event}, s.History()
	for b.Loop() {
		if out := hub.Publish(events, history, nil); len(out) != 0 {
			b.Fatalf("%d deliveries", len(out))
		}
	}
}

// One event that ends n watches of one key.
func BenchmarkPublishToOneShots(b *testing.B) {
	for _, n := range []int{1000, 50_000} {
		b.Run(fmt.Sprintf("watchers=%d", n), func(b *testing.B) {
			s := store.New()
			e, history := event(b, s, "/key")
			events, out := []*store.Event{e}, make([]watch.Delivery, 0, n)
			watchers := make([]watch.Watcher, n)
			for b.Loop() {
				b.StopTimer()
				hub := watch.NewHub(store.History{})
				for i := range watchers {
					watchers[i] = watch.Watcher{ID: uint64(i), Path: "/key"}
					if _, err := hub.Add(&watchers[i], nil); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if out = hub.Publish(events, history, out[:0]); len(out) != n {
					b.Fatalf("%d deliveries", len(out))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/watcher")
		})
	}
}

// What an idle watcher costs in the hub, its path included.
func BenchmarkIdleWatcher(b *testing.B) {
	const n = 50_000
	for _, kind := range []struct{ name, path string }{{"own key", "/idle/%08d"}, {"one key", "/idle/key"}} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				hub := watch.NewHub(store.History{})
				for i := range n {
					path := kind.path
					if kind.name == "own key" {
						path = fmt.Sprintf(path, i)
					}
					if _, err := hub.Add(&watch.Watcher{ID: uint64(i), Path: path}, nil); err != nil {
						b.Fatal(err)
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/watcher")
				runtime.KeepAlive(hub)
			}
		})
	}
}
