package watch_test

import (
	"fmt"
	"testing"

	"etcd/watch"
)

func TestStats(t *testing.T) {
	f := newFeed(t)
	check := func(when string, want watch.Stats, lag uint64) {
		t.Helper()
		if got := f.hub.Stats(); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
		if got := f.hub.Lag(); got != lag {
			t.Errorf("%s: lag %d, want %d", when, got, lag)
		}
	}
	check("at the start", watch.Stats{}, 0)
	for range 9 {
		f.do(set("/a"))
	}
	for id, w := range map[uint64]watch.Watcher{1: {ID: 1, Path: "/a", Stream: true}, 2: {ID: 2, Path: "/b", Since: 5}, 3: {ID: 3, Path: "/b", Since: 3}} {
		if err := f.hub.Add(id, fmt.Sprintf("token %d", id), w); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.hub.Add(1, "token 1", watch.Watcher{ID: 4, Path: "/c", Stream: true}); err != nil {
		t.Fatal(err)
	}
	check("two watches begin in the past", watch.Stats{Watches: 4, Subscribers: 3, Behind: 2}, 7)
	c := f.hub.CatchUp()
	check("they catch up", watch.Stats{Watches: 4, Subscribers: 3, CatchingUp: 2}, 7)
	for c.Scan(1) {
	}
	check("they have scanned the history", watch.Stats{Watches: 4, Subscribers: 3, CatchingUp: 2}, 7)
	f.hub.CaughtUp(c)
	check("they have caught up", watch.Stats{Watches: 4, Subscribers: 3}, 0)
	f.hub.Remove(1)
	f.do(set("/b"))
	// A stream that does not take what it gets falls behind, and stays there until it does.
	if err := f.hub.Add(9, "token 9", watch.Watcher{ID: 9, Path: "/", Recursive: true, Stream: true}); err != nil {
		t.Fatal(err)
	}
	f.apply(set("/a"))
	f.tell()
	if batches := f.hub.Next(1); len(batches) != 1 {
		t.Fatalf("%d batches", len(batches))
	}
	for range 100 {
		f.apply(set("/a"))
	}
	f.tell()
	check("a slow reader", watch.Stats{Watches: 1, Subscribers: 1, Behind: 1}, 100)
	f.hub.Remove(9)
	check("at the end", watch.Stats{}, 0)
}
