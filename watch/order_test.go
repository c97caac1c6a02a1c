package watch_test

import (
	"fmt"
	"slices"
	"testing"

	"etcd/watch"
)

// A replay gives the same run: nothing is delivered in the order of a map.
func TestDeliveryOrderIsDeterministic(t *testing.T) {
	const watchers = 50
	var byID, byPath []uint64 // IDs descend where paths ascend
	for i := range uint64(watchers) {
		byID = append(byID, i+1)
		byPath = append(byPath, watchers-i)
	}
	path := func(id uint64) string { return fmt.Sprintf("/dir/%02d", watchers-id) }
	for _, c := range []struct {
		name string
		do   func(f *feed) []uint64
		want []uint64
	}{
		{"a directory is removed", func(f *feed) []uint64 {
			f.do(remove("/dir"))
			return f.order
		}, byPath},
		{"the state is replaced", func(f *feed) []uint64 {
			f.apply(remove("/dir"))
			f.replace()
			return f.order
		}, byID},
		{"the state is replaced and events are lost", func(f *feed) []uint64 {
			f.applyAll(set("/a"), configure(0))
			f.replace()
			return f.order
		}, byID},
		{"all watchers are removed", func(f *feed) []uint64 { return ids(f.hub.Clear(errLost)) }, byID},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t)
			f.do(mkdir("/dir"))
			for _, id := range byID {
				if err := f.add(watch.Watcher{ID: id, Path: path(id)}); err != nil {
					t.Fatal(err)
				}
			}
			if got := c.do(f); !slices.Equal(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

func ids(batches []watch.Batch) []uint64 {
	var all []uint64
	for _, b := range batches {
		all = append(all, b.Subscriber)
	}
	return all
}
