package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

func indexes(h tree.History, from uint64) []uint64 {
	var got []uint64
	for e := range h.From(from) {
		got = append(got, e.Index)
	}
	return got
}

func TestHistoryFromBetweenGaps(t *testing.T) {
	const limit = 1000
	s := filled(t, configure(limit))
	// Enough events for several chunks, with gaps in their indexes, the oldest
	// ones dropped within a chunk.
	var all []uint64
	for i := uint64(10); len(all) < 1700; i += 3 {
		apply(t, s, i, 0, set("/a", ""))
		all = append(all, i)
	}
	h := s.History()
	held := all[len(all)-limit:]
	if h.Len() != limit || h.First() != held[0] || h.Last() != held[limit-1] || h.Cleared() != held[0]-3 {
		t.Fatalf("%d events from %d to %d, cleared %d", h.Len(), h.First(), h.Last(), h.Cleared())
	}
	for from := held[0] - 5; from <= held[limit-1]+2; from++ {
		start, _ := slices.BinarySearch(held, from)
		if got := indexes(h, from); !slices.Equal(got, held[start:]) {
			t.Fatalf("from %d: %d events, want %d", from, len(got), limit-start)
		}
	}
	for e := range h.From(held[300]) {
		if e.Index != held[300] {
			t.Fatalf("got event %d first, want %d", e.Index, held[300])
		}
		break
	}
}

func TestHistoryCleared(t *testing.T) {
	s := filled(t, configure(3))
	want := []string{"0: []", "0: [2]", "0: [2 3]", "0: [2 3 5]", "2: [3 5 6]", "3: [5 6 7]"}
	check := func(at int) {
		h := s.History()
		if got := fmt.Sprintf("%d: %v", h.Cleared(), indexes(h, 0)); got != want[at] {
			t.Errorf("step %d: %s, want %s", at, got, want[at])
		}
	}
	check(0)
	for i, index := range []uint64{2, 3, 5, 6, 7} {
		apply(t, s, index, 0, set("/a", ""))
		check(i + 1)
	}
	want = []string{"6: [7]", "6: [7]", "7: []", "9: []", "9: [11]"}
	apply(t, s, 8, 0, configure(1))
	check(0)
	apply(t, s, 9, 0, set("/", "refused"))
	check(1)
	apply(t, s, 10, 0, configure(0))
	check(2)
	s = restore(t, snapshot(t, s.View()))
	check(2)
}

func TestEventsWithoutHistory(t *testing.T) {
	s := filled(t, configure(0))
	result := apply(t, s, 2, 0, set("/a", "1"))
	if got := show(result); got != `set /a="1" 2/2` || !result.Published {
		t.Errorf("got %s, published %t", got, result.Published)
	}
	h := s.History()
	if h.Len() != 0 || h.First() != 0 || h.Last() != 0 || h.Cleared() != 2 {
		t.Errorf("%d events from %d to %d, cleared %d", h.Len(), h.First(), h.Last(), h.Cleared())
	}
}

func TestRefreshIsNotInHistory(t *testing.T) {
	s := filled(t, set("/a", "1", ttl(5)), set("/a", "", refresh, ttl(9)), set("/a", "2"))
	want := `set /a="1" 1/1 @1005` + "\n" + `set /a="2" 3/3 was /a="1" 2/2 @1009`
	if got := events(s.History(), 0); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHistoryByteLimit(t *testing.T) {
	s := store.New()
	large := strings.Repeat("x", 1<<20)
	// From the second event on, each counts its previous value as well.
	for i := range uint64(100) {
		apply(t, s, i+1, 0, set("/a", large))
	}
	h := s.History()
	if h.Len() != 31 || h.Last() != 100 || h.Cleared() != 69 {
		t.Errorf("%d events up to %d, cleared %d", h.Len(), h.Last(), h.Cleared())
	}
	data := snapshot(t, s.View())
	if again := restore(t, data); !bytes.Equal(snapshot(t, again.View()), data) {
		t.Error("it is another one after a restore")
	}
	for _, tt := range []struct {
		command      *storepb.Command
		len, cleared int
	}{
		{remove("/a"), 32, 69},
		{set("/b", ""), 33, 69},
		{set("/b", large), 33, 70}, // one event of two megabytes is evicted
	} {
		apply(t, s, s.Index()+1, 0, tt.command)
		if h := s.History(); h.Len() != tt.len || h.Cleared() != uint64(tt.cleared) {
			t.Errorf("after %d: %d events, cleared %d; want %d, %d", s.Index(), h.Len(), h.Cleared(), tt.len, tt.cleared)
		}
	}
}

func TestEventOverHistoryByteLimit(t *testing.T) {
	s := filled(t, set("/a", "1"))
	apply(t, s, 2, 0, set("/a", strings.Repeat("x", tree.MaxHistoryBytes)))
	if h := s.History(); h.Len() != 0 || h.Cleared() != 2 {
		t.Errorf("%d events, cleared %d", h.Len(), h.Cleared())
	}
	apply(t, s, 3, 0, set("/b", ""))
	if h := s.History(); h.Len() != 1 || h.First() != 3 || h.Cleared() != 2 {
		t.Errorf("%d events from %d, cleared %d", h.Len(), h.First(), h.Cleared())
	}
}

// Views of every age stay as they were while the store goes on, and may be
// read in other goroutines meanwhile; the race detector watches.
func TestHistoryViewsAreImmutable(t *testing.T) {
	type view struct {
		history tree.History
		want    string
		cleared uint64
	}
	views := make(chan view, 64)
	done := make(chan struct{})
	check := func(v view) {
		if got := events(v.history, 0); got != v.want || v.history.Cleared() != v.cleared {
			t.Errorf("a view up to %d changed", v.history.Last())
		}
	}
	go func() {
		defer close(done)
		for v := range views {
			check(v)
		}
	}()
	s := filled(t, configure(300))
	var kept []view
	for i := uint64(2); i < 3000; i++ {
		switch i {
		case 1000:
			apply(t, s, i, 0, configure(20))
		case 1500:
			apply(t, s, i, 0, configure(0))
		case 1600:
			apply(t, s, i, 0, configure(700))
		default:
			apply(t, s, i, 0, set(fmt.Sprintf("/%d", i%7), fmt.Sprint(i)))
		}
		if i%23 == 0 || i > 990 && i < 1030 {
			h := s.History()
			v := view{h, events(h, 0), h.Cleared()}
			kept = append(kept, v)
			views <- v
		}
	}
	close(views)
	<-done
	for _, v := range kept {
		check(v)
	}
}
