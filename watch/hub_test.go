package watch_test

import (
	"errors"
	"slices"
	"testing"

	"etcd/store/storepb"
	"etcd/watch"
)

func TestWatchMatching(t *testing.T) {
	const no, yes = false, true
	for _, c := range []struct {
		path                      string
		key                       string // what is set
		plain, recursive, withAll bool   // whether each kind of watcher gets the event
	}{
		{"/foo", "/foo", yes, yes, yes},
		{"/foo", "/foo/bar", no, yes, yes},
		{"/foo", "/foo/bar/baz", no, yes, yes},
		{"/foo", "/foobar", no, no, no},
		{"/foo", "/fo", no, no, no},
		{"/foo", "/foo-bar", no, no, no},
		{"/foo", "/foo0", no, no, no},
		{"/foo", "/bar/foo", no, no, no},
		{"/foo", "/Foo", no, no, no},
		{"/foo/bar", "/foo/ba", no, no, no},
		{"/foo/bar", "/foo", no, no, no},
		{"/foo/bar", "/foo/bar/x", no, yes, yes},
		{"/foo/bar", "/bar/x", no, no, no},
		{"/", "/foo", no, yes, yes},
		{"/", "/foo/bar", no, yes, yes},
		{"/", "/_foo", no, no, yes},
		{"/", "/foo/_bar", no, no, yes},
		{"/", "/_foo/bar", no, no, yes},
		{"/foo", "/foo/_bar", no, no, yes},
		{"/foo", "/foo/bar/_baz", no, no, yes},
		{"/foo", "/foo/_bar/baz", no, no, yes},
		{"/foo", "/foo/b_r", no, yes, yes},
		{"/foo", "/foo/b_", no, yes, yes},
		{"/foo", "/_foo", no, no, no},
		{"/_foo", "/_foo", yes, yes, yes},
		{"/_foo", "/_foo/bar", no, yes, yes},
		{"/_foo", "/_foo/_bar", no, no, yes},
		{"/foo/_bar", "/foo/_bar/baz", no, yes, yes},
		{"/ü", "/ü/ö", no, yes, yes},
		{"/ü", "/üü", no, no, no},
	} {
		f := newFeed(t)
		kinds := []watch.Watcher{
			{ID: 1, Path: c.path},
			{ID: 2, Path: c.path, Recursive: true},
			{ID: 3, Path: c.path, Recursive: true, Hidden: true},
		}
		for _, w := range kinds {
			w.Stream = true
			if err := f.add(w); err != nil {
				t.Fatal(err)
			}
		}
		f.do(set(c.key))
		// The same from the history.
		for _, w := range kinds {
			w.ID, w.Since = w.ID+10, 1
			if err := f.add(w); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []bool{c.plain, c.recursive, c.withAll} {
			for _, id := range []uint64{uint64(i + 1), uint64(i + 11)} {
				if got := len(f.got[id]) == 1; got != want {
					t.Errorf("%s is set: watcher %+v hears of it: %t, want %t", c.key, kinds[i], got, want)
				}
			}
		}
	}
}

func TestWatchBelowRemovedDirectory(t *testing.T) {
	watchers := []watch.Watcher{
		{ID: 1, Path: "/a"},
		{ID: 2, Path: "/a/b"},
		{ID: 3, Path: "/a/b/c"},
		{ID: 4, Path: "/a/_b/c"},    // hidden from above, but it watches right there
		{ID: 5, Path: "/a/missing"}, // nothing was there
		{ID: 6, Path: "/", Recursive: true},
		{ID: 7, Path: "/ab"},
		{ID: 8, Path: "/"},
		{ID: 9, Path: "/a", Recursive: true},
	}
	below := []uint64{1, 2, 3, 4, 5, 6, 9}
	for _, c := range []struct {
		name   string
		before []*storepb.Command
		change func(f *feed)
		want   []uint64 // the watchers that get the event
	}{
		{"deleted", []*storepb.Command{set("/a/b/c")}, func(f *feed) { f.do(remove("/a")) }, below},
		{"deleted while empty", []*storepb.Command{mkdir("/a")}, func(f *feed) { f.do(remove("/a")) }, below},
		{"expired", []*storepb.Command{lapsing("/a", true), set("/a/b/c")}, (*feed).expire, below},
		{"a file is deleted", []*storepb.Command{set("/a")}, func(f *feed) { f.do(remove("/a")) }, []uint64{1, 6, 9}},
		{"a file expires", []*storepb.Command{lapsing("/a", false)}, (*feed).expire, []uint64{1, 6, 9}},
		{"a directory is created", nil, func(f *feed) { f.do(mkdir("/a")) }, []uint64{1, 6, 9}},
		{"a file becomes a directory", []*storepb.Command{set("/a")}, func(f *feed) { f.do(mkdir("/a")) }, []uint64{1, 6, 9}},
		{"a directory inside", []*storepb.Command{set("/a/b/c")}, func(f *feed) { f.do(remove("/a/b")) }, []uint64{2, 3, 6, 9}},
		{"refused", []*storepb.Command{set("/a/b/c")}, func(f *feed) { f.do(remove("/x")) }, nil},
		{"refreshed", []*storepb.Command{set("/a")}, func(f *feed) { f.do(refresh("/a")) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t)
			f.do(c.before...)
			for _, w := range watchers {
				if err := f.add(w); err != nil {
					t.Fatal(err)
				}
			}
			since := f.index + 1
			c.change(f)
			for _, w := range watchers {
				if heard := len(f.got[w.ID]) == 1; heard != slices.Contains(c.want, w.ID) {
					t.Errorf("watcher of %s (recursive: %t) hears of it: %t", w.Path, w.Recursive, heard)
				}
			}
			f.wantLen(len(watchers) - len(c.want))
			// The same from the history.
			for _, w := range watchers {
				w.ID, w.Since = w.ID+10, since
				if err := f.add(w); err != nil {
					t.Fatal(err)
				}
				if heard := len(f.got[w.ID]) == 1; heard != slices.Contains(c.want, w.ID-10) {
					t.Errorf("from the history, watcher of %s (recursive: %t) hears of it: %t", w.Path, w.Recursive, heard)
				}
			}
		})
	}
}

func TestWatchStart(t *testing.T) {
	// Events at 3 (/a), 5 (/a), 6 (/b) and 8 (/a), later at 9 (/b), 11 (/a) and 12
	// (/a). The indexes between them are of commands without an event.
	for _, c := range []struct {
		name  string
		since uint64
		want  []uint64
	}{
		{"now", 0, []uint64{11, 12}},
		{"the first index", 1, []uint64{3, 5, 8, 11, 12}},
		{"an event", 3, []uint64{3, 5, 8, 11, 12}},
		{"a gap", 4, []uint64{5, 8, 11, 12}},
		{"an event of another key", 6, []uint64{8, 11, 12}},
		{"the newest event", 8, []uint64{8, 11, 12}},
		{"the next event", 9, []uint64{11, 12}},
		{"the future", 11, []uint64{11, 12}},
		{"between future events", 12, []uint64{12}},
		{"the far future", 13, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t)
			f.do(remove("/x"), remove("/x"), set("/a"), remove("/x"), set("/a"), set("/b"), refresh("/a"), set("/a"))
			for id, stream := range map[uint64]bool{1: true, 2: false} {
				if err := f.add(watch.Watcher{ID: id, Path: "/a", Since: c.since, Stream: stream}); err != nil {
					t.Fatal(err)
				}
			}
			f.do(set("/b"), refresh("/a"), set("/a"), set("/a"))
			f.want(1, c.want...)
			f.want(2, c.want[:min(1, len(c.want))]...)
			watchers := 1
			if len(c.want) == 0 {
				watchers = 2
			}
			f.wantLen(watchers)
		})
	}
}

func TestClearedHistory(t *testing.T) {
	three := func(f *feed) { f.do(configure(3), set("/a"), set("/a"), set("/a"), set("/a"), set("/a")) } // 2 to 6
	for _, c := range []struct {
		name   string
		fill   func(f *feed)
		since  uint64
		oldest uint64 // of the error; 0: none
		want   []uint64
	}{
		{"cleared", three, 1, 4, nil},
		{"the newest cleared event", three, 3, 4, nil},
		{"the oldest event", three, 4, 0, []uint64{4, 5, 6}},
		{"now", three, 0, 0, nil},
		{"a gap after the newest cleared event", func(f *feed) {
			f.do(configure(1), set("/a"), remove("/x"), set("/a"))
		}, 3, 0, []uint64{4}},
		{"a gap before the newest cleared event", func(f *feed) {
			f.do(configure(1), remove("/x"), set("/a"), remove("/x"), set("/a"))
		}, 2, 5, nil},
		{"no history", func(f *feed) { f.do(configure(0), set("/a"), set("/a")) }, 3, 4, nil},
		{"no history, the next event", func(f *feed) { f.do(configure(0), set("/a"), set("/a")) }, 4, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t)
			c.fill(f)
			err := f.add(watch.Watcher{ID: 1, Path: "/a", Since: c.since, Stream: true})
			var cleared *watch.ClearedError
			switch {
			case c.oldest == 0 && err != nil:
				t.Fatalf("got %v", err)
			case c.oldest == 0:
				f.want(1, c.want...)
				f.wantLen(1)
			case !errors.As(err, &cleared) || *cleared != watch.ClearedError{Oldest: c.oldest, Requested: c.since}:
				t.Fatalf("got %v, want the oldest to be %d", err, c.oldest)
			default:
				f.want(1)
				f.wantLen(0)
			}
		})
	}
}

func TestClearedErrorText(t *testing.T) {
	err := &watch.ClearedError{Oldest: 1007, Requested: 8}
	if got, want := err.Error(), "the requested history has been cleared [1007/8]"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestHubStartsWithHistory(t *testing.T) {
	f := newFeed(t)
	f.do(set("/a"), set("/a"))
	f.hub = watch.NewHub(f.store.History()) // after a restart
	if err := f.add(watch.Watcher{ID: 1, Path: "/a", Since: 2, Stream: true}); err != nil {
		t.Fatal(err)
	}
	f.do(set("/a"))
	f.want(1, 2, 3)
}

func TestOneShotEndsAfterOneEvent(t *testing.T) {
	f := newFeed(t)
	if err := f.add(watch.Watcher{ID: 1, Path: "/a"}); err != nil {
		t.Fatal(err)
	}
	if err := f.add(watch.Watcher{ID: 2, Path: "/a", Stream: true}); err != nil {
		t.Fatal(err)
	}
	f.apply(set("/a"))
	f.apply(set("/a"))
	f.publish() // both at once
	if events := f.got[1]; !slices.Equal(events, []got{{1, true}}) {
		t.Fatalf("the one-shot got %v", events)
	}
	if events := f.got[2]; !slices.Equal(events, []got{{1, false}, {2, false}}) {
		t.Fatalf("the stream got %v", events)
	}
	f.wantLen(1)
}

func TestNextLimitsBatches(t *testing.T) {
	f := newFeed(t)
	for id := uint64(1); id <= 5; id++ {
		if err := f.add(watch.Watcher{ID: id, Path: "/a", Stream: id == 5}); err != nil {
			t.Fatal(err)
		}
	}
	f.apply(set("/a"))
	f.tell()
	f.wantLen(1) // the others are as good as answered
	for _, want := range []int{2, 2, 1, 0} {
		batches := f.hub.Next(2)
		if len(batches) != want {
			t.Fatalf("got %d subscribers, want %d", len(batches), want)
		}
		for _, b := range batches {
			f.deliver(b)
		}
	}
	for id := uint64(1); id <= 5; id++ {
		f.want(id, 1)
	}
}

func TestRemove(t *testing.T) {
	f := newFeed(t)
	for id := uint64(1); id <= 4; id++ {
		if err := f.add(watch.Watcher{ID: id, Path: "/a", Stream: true}); err != nil {
			t.Fatal(err)
		}
	}
	f.do(set("/a"))
	f.hub.Remove(1)
	f.do(set("/a"))
	f.hub.Remove(3)
	f.hub.Remove(3)  // again
	f.hub.Remove(99) // never there
	f.do(set("/a"))
	f.hub.Remove(4)
	f.hub.Remove(2)
	f.wantLen(0)
	f.do(set("/a"))
	f.want(1, 1)
	f.want(2, 1, 2, 3)
	f.want(3, 1, 2)
	f.want(4, 1, 2, 3)
	if err := f.add(watch.Watcher{ID: 5, Path: "/a"}); err != nil {
		t.Fatal(err)
	}
	f.do(set("/a"))
	f.want(5, 5)
}

func TestRemoveAfterTheLastEvent(t *testing.T) {
	f := newFeed(t)
	if err := f.add(watch.Watcher{ID: 1, Path: "/a"}); err != nil {
		t.Fatal(err)
	}
	f.do(set("/a"))
	f.hub.Remove(1) // as a session does that has not received its last event yet
	f.wantLen(0)
}

func TestClear(t *testing.T) {
	f := newFeed(t)
	for id, path := range map[uint64]string{1: "/a", 2: "/a", 3: "/"} {
		if err := f.add(watch.Watcher{ID: id, Path: path, Recursive: true, Stream: true}); err != nil {
			t.Fatal(err)
		}
	}
	ids := ids(f.hub.Clear(errLost))
	if !slices.Equal(ids, []uint64{1, 2, 3}) {
		t.Fatalf("got watchers %v", ids)
	}
	f.wantLen(0)
	f.do(set("/a"))
	if len(f.got) > 0 {
		t.Fatalf("a watcher that is gone got %v", f.got)
	}
	if again := f.hub.Clear(errLost); len(again) != 0 {
		t.Fatalf("got %d watchers again", len(again))
	}
}
