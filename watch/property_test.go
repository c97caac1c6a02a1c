package watch_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"etcd/store/tree"
	"etcd/watch"
)

// expectation is what a watcher must have got, computed from all that was ever
// published.
type expectation struct {
	watch.Watcher
	position int // how many events were published before it was added
	removed  int // and before it was removed; -1: it was not
}

func (x expectation) events(published []*tree.Event) []got {
	if x.removed >= 0 {
		published = published[:x.removed]
	}
	var all []got
	for at, e := range published {
		wanted := at >= x.position && x.Since <= e.Index || x.Since > 0 && x.Since <= e.Index
		if !wanted || !wants(x.Watcher, e) {
			continue
		}
		all = append(all, got{e.Index, !x.Stream})
		if !x.Stream {
			break
		}
	}
	return all
}

func drawPath(t *rapid.T) string {
	path := ""
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "_h"}), 0, 3).Draw(t, "names") {
		path += "/" + name
	}
	return max(path, "/")
}

// Whenever a watcher is added and wherever it begins, it gets every event that it
// wants from there on, in order, once; or the error that some of them have been cleared.
func TestWatchDeliversExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFeed(t)
		expected := map[uint64]*expectation{}
		var nextID uint64
		t.Repeat(map[string]func(*rapid.T){
			"set":    func(t *rapid.T) { f.apply(set(drawPath(t))) },
			"mkdir":  func(t *rapid.T) { f.apply(mkdir(drawPath(t))) },
			"lapse":  func(t *rapid.T) { f.apply(lapsing(drawPath(t), rapid.Bool().Draw(t, "dir"))) },
			"remove": func(t *rapid.T) { f.apply(remove(drawPath(t))) },
			"expire": func(*rapid.T) { f.expire() },
			"history": func(t *rapid.T) {
				f.apply(configure(rapid.SampledFrom([]uint32{0, 1, 3, 10, 1000}).Draw(t, "limit")))
			},
			"publish":      func(*rapid.T) { f.publish() },
			"publish each": func(t *rapid.T) { f.do(set(drawPath(t)), set(drawPath(t)), remove(drawPath(t))) },
			"add": func(t *rapid.T) {
				nextID++
				x := &expectation{Watcher: watch.Watcher{
					ID:        nextID,
					Path:      drawPath(t),
					Since:     rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(1, f.index+5)).Draw(t, "since"),
					Recursive: rapid.Bool().Draw(t, "recursive"),
					Hidden:    rapid.Bool().Draw(t, "hidden"),
					Stream:    rapid.Bool().Draw(t, "stream"),
				}, position: len(f.published), removed: -1}
				err := f.add(x.Watcher)
				if x.Since == 0 || x.Since > f.history.Cleared() {
					if err != nil {
						t.Fatalf("%+v: %v", x.Watcher, err)
					}
					expected[x.ID] = x
					return
				}
				oldest := f.history.Cleared() + 1
				for e := range f.history.From(0) {
					oldest = e.Index
					break
				}
				var cleared *watch.ClearedError
				if !errors.As(err, &cleared) || *cleared != (watch.ClearedError{Oldest: oldest, Requested: x.Since}) {
					t.Fatalf("%+v: %v, but the history begins at %d", x.Watcher, err, oldest)
				}
			},
			"remove watcher": func(t *rapid.T) {
				if nextID == 0 {
					t.Skip("there was none yet")
				}
				id := rapid.Uint64Range(1, nextID).Draw(t, "id")
				f.hub.Remove(id)
				if x := expected[id]; x != nil && x.removed < 0 {
					x.removed = len(f.published)
				}
			},
			"clear": func(t *rapid.T) {
				var ids []uint64
				for _, b := range f.hub.Clear(errLost) {
					if len(b.Deliveries) != 1 || b.Deliveries[0].Err != errLost || !b.Last {
						t.Fatalf("subscriber %d gets %+v", b.Subscriber, b)
					}
					ids = append(ids, b.Subscriber)
				}
				var want []uint64
				for _, id := range slices.Sorted(maps.Keys(expected)) {
					if x := expected[id]; x.removed < 0 {
						if x.Stream || len(x.events(f.published)) == 0 {
							want = append(want, id)
						}
						x.removed = len(f.published)
					}
				}
				if !slices.Equal(ids, want) {
					t.Fatalf("cleared %v, there were %v", ids, want)
				}
			},
			"": func(t *rapid.T) {
				waiting := 0
				for id, x := range expected {
					want := x.events(f.published)
					if !slices.Equal(f.got[id], want) {
						t.Fatalf("%+v got %v, want %v", x.Watcher, f.got[id], want)
					}
					if x.removed < 0 && (x.Stream || len(want) == 0) {
						waiting++
					}
				}
				f.wantLen(waiting)
			},
		})
	})
}
