package watch_test

import (
	"testing"

	"etcd/watch"
)

// only returns the one batch that is ready.
func (f *feed) only() watch.Batch {
	f.t.Helper()
	batches := f.hub.Next(2)
	if len(batches) != 1 {
		f.t.Fatalf("batches %+v, want one", batches)
	}
	return batches[0]
}

// nothing fails the test if a batch is ready.
func (f *feed) nothing() {
	f.t.Helper()
	if batches := f.hub.Next(1); batches != nil {
		f.t.Fatalf("batches %+v, want none", batches)
	}
}

// A subscriber that asks for it gets a sign of life with the index of the newest event, whatever
// that was about; one at a time, and none besides an event.
func TestBeat(t *testing.T) {
	f := newFeed(t)
	f.do(set("/b"), set("/b"))
	if err := f.add(watch.Watcher{ID: 1, Path: "/a", Stream: true}); err != nil {
		t.Fatal(err)
	}
	f.do(set("/b"))
	f.nothing()
	f.hub.Beat(1)
	f.hub.Beat(1)
	f.hub.Beat(9) // unknown
	if b := f.only(); b.Subscriber != 1 || len(b.Deliveries) > 0 || b.Index != 3 || b.Last {
		t.Errorf("a sign of life: %+v", b)
	}
	f.hub.Beat(1) // while one is being written: another one follows
	f.nothing()
	f.hub.Written(1)
	if b := f.only(); len(b.Deliveries) > 0 || b.Index != 3 {
		t.Errorf("a second sign of life: %+v", b)
	}
	f.hub.Written(1)
	f.nothing()
	f.hub.Beat(1)
	f.apply(set("/a"))
	f.apply(set("/b"))
	f.tell()
	if b := f.only(); len(b.Deliveries) != 1 || b.Index != 5 {
		t.Errorf("an event that comes before the sign of life: %+v", b)
	}
	f.hub.Written(1)
	f.nothing()
}

// A subscriber that is behind gets what it has missed as its sign of life.
func TestBeatOfASubscriberThatIsBehind(t *testing.T) {
	f := newFeed(t)
	f.do(set("/a"), set("/b"))
	if err := f.hub.Add(1, "token 1", watch.Watcher{Path: "/a", Since: 1, Stream: true}); err != nil {
		t.Fatal(err)
	}
	f.hub.Beat(1)
	f.nothing()
	c := f.hub.CatchUp()
	f.hub.Beat(1)
	for c.Scan(10) {
	}
	f.hub.CaughtUp(c)
	if b := f.only(); len(b.Deliveries) != 1 || b.Index != 2 {
		t.Errorf("after the catch-up: %+v", b)
	}
	f.hub.Written(1)
	f.nothing()
}

// A subscriber that is given up gets what is on its way, or else the index up to which there was
// nothing.
func TestGiveUp(t *testing.T) {
	f := newFeed(t)
	f.do(set("/a"), set("/b"))
	for id, w := range []watch.Watcher{
		{Path: "/c"}, {Path: "/a", Since: 1}, {Path: "/b", Since: 1, Stream: true}, {Path: "/c", Since: 1}, {Path: "/c", Since: 9},
	} {
		w.ID = uint64(id)
		if err := f.hub.Add(w.ID, nil, w); err != nil {
			t.Fatal(err)
		}
		f.hub.GiveUp(w.ID)
	}
	f.hub.GiveUp(9) // unknown
	got := map[uint64][]watch.Batch{}
	for {
		for batches := f.hub.Next(1); batches != nil; batches = f.hub.Next(1) {
			got[batches[0].Subscriber] = append(got[batches[0].Subscriber], batches[0])
			f.hub.Written(batches[0].Subscriber)
		}
		c := f.hub.CatchUp()
		if c == nil {
			break
		}
		for c.Scan(10) {
		}
		f.hub.CaughtUp(c)
	}
	for id, want := range [][]int{{0}, {1}, {1, 0}, {0}, {0}} { // deliveries of its batches
		batches := got[uint64(id)]
		if len(batches) != len(want) || !batches[len(batches)-1].Last {
			t.Errorf("subscriber %d gets %+v", id, batches)
			continue
		}
		for i, b := range batches {
			if len(b.Deliveries) != want[i] || len(b.Deliveries) == 0 && b.Index != 2 {
				t.Errorf("subscriber %d gets %+v", id, b)
			}
		}
	}
	f.wantLen(0)
}
