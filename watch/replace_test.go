package watch_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"etcd/store/storepb"
	"etcd/watch"
)

// replace gives the hub the current state, without publishing the events in between. It
// returns the watchers that end with the error lost.
func (f *feed) replace() []uint64 {
	f.t.Helper()
	clear(f.lost)
	f.history = f.store.History()
	f.hub.Replace(f.history, errLost)
	f.published = append(f.published, f.events...)
	f.events = nil
	f.settle()
	for id, err := range f.lost {
		if err != errLost {
			f.t.Fatalf("watch %d ends with %v", id, err)
		}
	}
	return slices.Sorted(maps.Keys(f.lost))
}

var errLost = errors.New("lost")

func (f *feed) applyAll(commands ...*storepb.Command) {
	f.t.Helper()
	for _, c := range commands {
		f.apply(c)
	}
}

func TestReplace(t *testing.T) {
	sets := []*storepb.Command{set("/a"), set("/b"), set("/a")}
	for _, c := range []struct {
		name    string
		before  []*storepb.Command // published, from index 1 on
		watcher watch.Watcher
		missed  []*storepb.Command // not published
		want    []uint64
		lost    bool
		stays   bool
	}{
		{name: "a stream gets what it has missed", before: sets, watcher: watch.Watcher{Path: "/a", Stream: true},
			missed: sets, want: []uint64{4, 6}, stays: true},
		{name: "one event is enough for the others", before: sets, watcher: watch.Watcher{Path: "/a"},
			missed: sets, want: []uint64{4}},
		{name: "nothing of interest", before: sets, watcher: watch.Watcher{Path: "/c"}, missed: sets, stays: true},
		{name: "nothing has happened", before: sets, watcher: watch.Watcher{Path: "/a", Stream: true}, stays: true},
		{name: "nothing twice", before: sets, watcher: watch.Watcher{Path: "/a", Since: 1, Stream: true},
			missed: sets, want: []uint64{1, 3, 4, 6}, stays: true},
		{name: "from an index that is still to come", before: sets, watcher: watch.Watcher{Path: "/a", Since: 5, Stream: true},
			missed: sets, want: []uint64{6}, stays: true},
		{name: "from an index after all that", before: sets, watcher: watch.Watcher{Path: "/a", Since: 9},
			missed: sets, stays: true},
		{name: "a directory that went away", before: sets, watcher: watch.Watcher{Path: "/d/e"},
			missed: []*storepb.Command{mkdir("/d"), remove("/d")}, want: []uint64{5}},
		{name: "hidden", before: sets, watcher: watch.Watcher{Path: "/", Recursive: true},
			missed: []*storepb.Command{set("/_h"), set("/v")}, want: []uint64{5}},
		{name: "before any event", watcher: watch.Watcher{Path: "/a"}, missed: sets, want: []uint64{1}},
		{name: "part of it is cleared", before: sets, watcher: watch.Watcher{Path: "/a", Stream: true},
			missed: append([]*storepb.Command{configure(2)}, sets...), lost: true},
		{name: "what is cleared was delivered before", before: sets, watcher: watch.Watcher{Path: "/a", Stream: true},
			missed: append([]*storepb.Command{configure(3)}, sets...), want: []uint64{5, 7}, stays: true},
		{name: "what is cleared is before what it waits for", before: sets, watcher: watch.Watcher{Path: "/a", Since: 7},
			missed: append([]*storepb.Command{configure(1)}, sets...), want: []uint64{7}},
		{name: "all was cleared before", before: append(sets[:3:3], configure(0)), watcher: watch.Watcher{Path: "/a", Stream: true},
			missed: append([]*storepb.Command{configure(5)}, sets...), want: []uint64{6, 8}, stays: true},
		{name: "nothing has happened since all was cleared", before: append(sets[:3:3], configure(0)),
			watcher: watch.Watcher{Path: "/a", Stream: true}, stays: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t)
			f.do(c.before...)
			c.watcher.ID = 1
			if err := f.add(c.watcher); err != nil {
				t.Fatal(err)
			}
			f.applyAll(c.missed...)
			lost := f.replace()
			if (len(lost) > 0) != c.lost {
				t.Fatalf("lost: %v", lost)
			}
			f.want(1, c.want...)
			if got := f.hub.Stats().Watches == 1; got != c.stays {
				t.Fatalf("it stays: %t", got)
			}
			// Later events are delivered as before.
			f.do(set("/later"))
			f.want(1, c.want...)
			if last := f.index + 1; c.stays && c.watcher.Since <= last {
				f.do(set(c.watcher.Path))
				f.want(1, append(slices.Clone(c.want), last)...)
			}
		})
	}
}

func TestReplaceEndsOnlyLostWatches(t *testing.T) {
	f := newFeed(t)
	for id, w := range map[uint64]watch.Watcher{
		1: {Path: "/a"}, 2: {Path: "/a", Stream: true}, 3: {Path: "/b"}, 4: {Path: "/b", Stream: true},
	} {
		w.ID = id
		if err := f.add(w); err != nil {
			t.Fatal(err)
		}
	}
	f.apply(set("/a"))
	f.replace()
	f.wantLen(3)
	f.do(set("/b"))
	f.wantLen(2)
	for id, want := range map[uint64]uint64{1: 1, 2: 1, 3: 2, 4: 2} {
		f.want(id, want)
	}
}

// However often the state is replaced, and whatever its history has cleared by then: a
// watcher gets every event that it wants, in order, once, or the error that it may have
// missed some; and no watcher gets that error without need.
func TestReplaceReportsLostEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFeed(t)
		expected := map[uint64]*expectation{}
		var nextID uint64
		t.Repeat(map[string]func(*rapid.T){
			"set":     func(t *rapid.T) { f.apply(set(drawPath(t))) },
			"mkdir":   func(t *rapid.T) { f.apply(mkdir(drawPath(t))) },
			"remove":  func(t *rapid.T) { f.apply(remove(drawPath(t))) },
			"publish": func(*rapid.T) { f.publish() },
			"history": func(t *rapid.T) {
				f.apply(configure(rapid.SampledFrom([]uint32{0, 1, 3, 10, 1000}).Draw(t, "limit")))
			},
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
				if err := f.add(x.Watcher); err == nil {
					expected[x.ID] = x
				}
			},
			"replace": func(t *rapid.T) {
				position := len(f.published)
				missed := slices.Clone(f.events)
				lost := f.replace()
				for id, x := range expected {
					done := !x.Stream && len(x.events(f.published[:position])) > 0
					cleared := false // something that it might have wanted
					for _, e := range missed {
						cleared = cleared || e.Index >= x.Since && e.Index <= f.history.Cleared()
					}
					told := slices.Contains(lost, id)
					if want := x.removed < 0 && !done && cleared; told != want {
						t.Fatalf("%+v is told that it is lost: %t, want %t", x.Watcher, told, want)
					}
					if told {
						x.removed = position
					}
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
