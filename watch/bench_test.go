package watch_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"etcd/store"
	"etcd/store/tree"
	"etcd/watch"
)

// idle adds watchers of keys that nobody writes, one per key.
func idle(b *testing.B, hub *watch.Hub, n int) {
	b.Helper()
	for i := range n {
		subscribe(b, hub, uint64(1+i), watch.Watcher{Path: fmt.Sprintf("/idle/%08d", i), Recursive: true})
	}
}

func subscribe(b *testing.B, hub *watch.Hub, id uint64, w watch.Watcher) {
	b.Helper()
	if err := hub.Add(id, nil, w); err != nil {
		b.Fatal(err)
	}
}

// write takes all batches, as writers do, and returns how many deliveries they have.
func write(hub *watch.Hub) (deliveries int) {
	for batches := hub.Next(64); batches != nil; batches = hub.Next(64) {
		for _, b := range batches {
			deliveries += len(b.Deliveries)
			if !b.Last {
				hub.Written(b.Subscriber)
			}
		}
	}
	return deliveries
}

func event(b *testing.B, s *store.Store, path string) (*tree.Event, tree.History) {
	b.Helper()
	result, err := s.Apply(s.Index()+1, 0, store.Encode(set(path)))
	if err != nil || result.Event == nil {
		b.Fatalf("%+v, %v", result, err)
	}
	return result.Event, s.History()
}

// An event costs the same, no matter how many watchers wait for other keys.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 50_000} {
		b.Run(fmt.Sprintf("idle=%d", n), func(b *testing.B) {
			s := store.New()
			hub := watch.NewHub(s.History())
			idle(b, hub, n)
			subscribe(b, hub, 1<<40, watch.Watcher{Path: "/busy", Recursive: true, Stream: true})
			e, history := event(b, s, "/busy/key/below")
			next := *e
			events := []*tree.Event{&next}
			b.ReportAllocs()
			for b.Loop() {
				next.Index++
				hub.Publish(events, history)
				if n := write(hub); n != 1 {
					b.Fatalf("%d deliveries", n)
				}
			}
		})
	}
}

// The cost of removing a directory grows with the watches below it, not with those elsewhere.
func BenchmarkPublishRemovedDirectory(b *testing.B) {
	s := store.New()
	hub := watch.NewHub(s.History())
	idle(b, hub, 50_000)
	event(b, s, "/dir/key")
	result, err := s.Apply(s.Index()+1, 0, store.Encode(remove("/dir")))
	if err != nil {
		b.Fatal(err)
	}
	events, history := []*tree.Event{result.Event}, s.History()
	for b.Loop() {
		hub.Publish(events, history)
		if n := write(hub); n != 0 {
			b.Fatalf("%d deliveries", n)
		}
	}
}

// One event that ends n watches of one key.
func BenchmarkPublishToOneShots(b *testing.B) {
	for _, n := range []int{1000, 50_000} {
		b.Run(fmt.Sprintf("watchers=%d", n), func(b *testing.B) {
			s := store.New()
			e, history := event(b, s, "/key")
			events := []*tree.Event{e}
			for b.Loop() {
				b.StopTimer()
				hub := watch.NewHub(tree.History{})
				for i := range n {
					subscribe(b, hub, uint64(i), watch.Watcher{Path: "/key"})
				}
				b.StartTimer()
				hub.Publish(events, history)
				if got := write(hub); got != n {
					b.Fatalf("%d deliveries", got)
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
				hub := watch.NewHub(tree.History{})
				for i := range n {
					path := kind.path
					if kind.name == "own key" {
						path = fmt.Sprintf(path, i)
					}
					subscribe(b, hub, uint64(i), watch.Watcher{Path: path})
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/watcher")
				runtime.KeepAlive(hub)
			}
		})
	}
}

// Watches of quiet keys from the beginning of a full history: one pass over it for all. Only
// the part of that which runs in the hub can delay an event.
func BenchmarkCatchUp(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("watchers=%d", n), func(b *testing.B) {
			s := store.New()
			var held time.Duration
			for i := range tree.DefaultHistoryLimit {
				event(b, s, fmt.Sprintf("/busy/%03d/key", i%1000))
			}
			for b.Loop() {
				b.StopTimer()
				hub := watch.NewHub(s.History())
				for i := range n {
					subscribe(b, hub, uint64(i), watch.Watcher{Path: fmt.Sprintf("/idle/%08d", i), Since: 1, Recursive: true})
				}
				b.StartTimer()
				begin := time.Now()
				c := hub.CatchUp()
				held += time.Since(begin)
				for c.Scan(1000) {
				}
				begin = time.Now()
				hub.CaughtUp(c)
				held += time.Since(begin)
			}
			b.ReportMetric(float64(held.Microseconds())/float64(b.N), "hub-µs/pass")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/watcher")
		})
	}
}
