package watch_test

import (
	"testing"

	"etcd/watch"
)

// Without a leader the watches that need one end, behind the events that are ready for them, and new ones
// are refused until there is one again. The others go on.
func TestLeaderless(t *testing.T) {
	f := newFeed(t)
	add := func(w watch.Watcher) {
		t.Helper()
		if err := f.hub.Add(w.ID, "", w); err != nil {
			t.Fatal(err)
		}
	}
	add(watch.Watcher{ID: 1, Path: "/a", Stream: true, NeedsLeader: true})
	add(watch.Watcher{ID: 2, Path: "/b", NeedsLeader: true})
	add(watch.Watcher{ID: 3, Path: "/a", Stream: true})
	f.apply(set("/a"))
	f.apply(set("/a"))
	f.tell()
	f.hub.Leaderless(errNoLeader)
	f.hub.Leaderless(errNoLeader)
	f.apply(set("/a"))
	f.tell()
	for _, want := range []struct {
		subscriber uint64
		events     int
		ends       bool
	}{{3, 3, false}, {1, 2, true}, {2, 0, true}} {
		b := f.hub.Next(1)[0]
		events := len(b.Deliveries)
		if want.ends {
			events--
		}
		if b.Subscriber != want.subscriber || b.Last != want.ends || events != want.events || b.Index != 3 {
			t.Errorf("%+v, want %+v", b, want)
		}
		if last := b.Deliveries[len(b.Deliveries)-1]; want.ends && (last.Err != errNoLeader || !last.Last) {
			t.Errorf("the end: %+v", last)
		}
	}
	f.nothing()
	if err := f.hub.Add(4, "", watch.Watcher{ID: 4, Path: "/a", NeedsLeader: true}); err != errNoLeader {
		t.Errorf("a new watch: %v", err)
	}
	f.wantLen(1)
	f.hub.Led()
	add(watch.Watcher{ID: 5, Path: "/a", NeedsLeader: true})
	f.wantLen(2)
}
