package watch_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"etcd/store/tree"
	"etcd/watch"
)

// slow is a hub whose writers are as slow as can be: the test decides when everything that
// takes time begins and ends.
type slow struct {
	*feed
	t       *rapid.T
	writing []uint64 // subscribers
	scan    *watch.CatchUp
	scanned bool
	// By watch; a watch that was removed or lost is not expected to get anything more.
	expected map[uint64]*expectation
	sub      map[uint64]uint64 // the subscriber of a watch
	has      map[uint64]uint64 // the index up to which a watch was told that it has everything
	over     map[uint64]bool   // subscribers that were given up
	nextID   uint64

	leaderless bool
	ending     map[uint64]bool // subscribers that may end because there is no leader
	mustEnd    map[uint64]bool // watches that have to
}

// add adds a watch to one of a few subscribers.
func (s *slow) add(t *rapid.T) {
	s.nextID++
	x := &expectation{Watcher: watch.Watcher{
		ID:        s.nextID,
		Path:      drawPath(t),
		Since:     rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(1, s.index+5), rapid.Just(s.history.Cleared()+1)).Draw(t, "since"),
		Recursive: rapid.Bool().Draw(t, "recursive"),
		Hidden:    true,
		Stream:    rapid.IntRange(0, 3).Draw(t, "stream") > 0,

		NeedsLeader: rapid.IntRange(0, 3).Draw(t, "needs a leader") == 0,
	}, position: len(s.published), removed: -1}
	sub := rapid.Uint64Range(1, 4).Draw(t, "subscriber")
	err := s.hub.Add(sub, fmt.Sprintf("token %d", sub), x.Watcher)
	if refused := s.leaderless && x.NeedsLeader; refused != errors.Is(err, errNoLeader) {
		t.Fatalf("%+v: %v (leaderless: %t)", x.Watcher, err, s.leaderless)
	} else if refused {
		return
	}
	if fits := x.Since == 0 || x.Since > s.history.Cleared(); fits != (err == nil) {
		t.Fatalf("%+v: %v; cleared is %d", x.Watcher, err, s.history.Cleared())
	}
	if err == nil {
		s.expected[x.ID], s.sub[x.ID] = x, sub
	}
}

// take lets a writer take a batch.
func (s *slow) take() bool {
	batches := s.hub.Next(1)
	if batches == nil {
		return false
	}
	b := batches[0]
	if slices.Contains(s.writing, b.Subscriber) {
		s.t.Fatalf("subscriber %d gets more before the last was written", b.Subscriber)
	}
	before := len(s.lost)
	for _, d := range b.Deliveries {
		if d.Event != nil && d.Event.Index <= s.has[d.Watch] {
			s.t.Fatalf("watch %d gets event %d, and was told that it has all up to %d", d.Watch, d.Event.Index, s.has[d.Watch])
		}
	}
	s.deliver(b)
	if !b.Last {
		s.writing = append(s.writing, b.Subscriber)
	}
	if len(s.lost) > before {
		for _, d := range b.Deliveries {
			if d.Err != nil {
				s.checkLost(d)
			}
		}
	}
	s.checkIndex(b)
	return true
}

// checkIndex checks that the watches of a subscriber have got what its batch says.
func (s *slow) checkIndex(b watch.Batch) {
	newest := max(s.history.Last(), s.history.Cleared())
	if n := len(b.Deliveries); b.Last && n > 0 { // there may be a new subscriber with this ID
		want := newest
		if e := b.Deliveries[n-1].Event; e != nil {
			want = e.Index
		}
		if b.Index != want {
			s.t.Fatalf("the last batch of subscriber %d has index %d, want %d", b.Subscriber, b.Index, want)
		}
		return
	}
	for id, x := range s.expected {
		if s.sub[id] != b.Subscriber || x.removed >= 0 {
			continue
		}
		want := slices.DeleteFunc(x.events(s.published), func(g got) bool { return g.index > b.Index })
		if got := s.got[id]; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			s.t.Fatalf("%+v of subscriber %d is told that it has all up to %d: it has %v, and not %v", x.Watcher, b.Subscriber, b.Index, got, want)
		}
		s.has[id] = max(s.has[id], b.Index)
		if b.Last && len(b.Deliveries) == 0 { // it was given up
			delete(s.expected, id)
		}
	}
	if len(b.Deliveries) > 0 {
		return
	}
	if b.Index != newest {
		s.t.Fatalf("a sign of life says %d, and the newest event is %d", b.Index, newest)
	}
	if b.Last && !s.over[b.Subscriber] {
		s.t.Fatalf("the watches of subscriber %d are ended, and nobody has given it up", b.Subscriber)
	}
	delete(s.asked, b.Subscriber)
}

// checkLost checks that a watch which ends with an error may really have lost an event, or that there was
// no leader.
func (s *slow) checkLost(d watch.Delivery) {
	x := s.expected[d.Watch]
	if errors.Is(d.Err, errNoLeader) {
		has, want := s.got[d.Watch], x.events(s.published)
		if !s.ending[s.sub[d.Watch]] || len(has) > len(want) || !slices.Equal(has, want[:len(has)]) ||
			slices.ContainsFunc(has, func(g got) bool { return g.last }) {
			s.t.Fatalf("%+v of subscriber %d got %v of %v and ends: %v", x.Watcher, s.sub[d.Watch], has, want, d.Err)
		}
		x.removed = 0
		return
	}
	var why *watch.ClearedError
	if errors.As(d.Err, &why) && why.Requested > s.history.Cleared() {
		s.t.Fatalf("%+v: %v, but only events up to %d are gone", x.Watcher, why, s.history.Cleared())
	}
	seen := x.Since
	if got := s.got[d.Watch]; len(got) > 0 {
		seen = got[len(got)-1].index + 1
	}
	missing := func(e *tree.Event) bool { return e.Index >= seen && e.Index <= s.history.Cleared() }
	if !slices.ContainsFunc(s.published, missing) {
		s.t.Fatalf("%+v is told that it has lost something: %v", x.Watcher, d.Err)
	}
	x.removed = 0
}

// loseLeader ends the subscribers that need one.
func (s *slow) loseLeader() {
	s.leaderless = true
	s.hub.Leaderless(errNoLeader)
	for id, x := range s.expected {
		if x.NeedsLeader && x.removed < 0 {
			s.ending[s.sub[id]] = true
			s.mustEnd[id] = x.Stream
		}
	}
}

var errNoLeader = errors.New("no leader")

func (s *slow) written(at int) {
	s.hub.Written(s.writing[at])
	s.writing = slices.Delete(s.writing, at, at+1)
}

func (s *slow) begin() {
	if s.scan == nil {
		s.scan, s.scanned = s.hub.CatchUp(), false
	}
}

func (s *slow) end() {
	if s.scan != nil {
		for !s.scanned {
			s.scanned = !s.scan.Scan(1000)
		}
		s.hub.CaughtUp(s.scan)
		s.scan = nil
	}
}

// However long anything takes, and whatever happens meanwhile: every watch of a subscriber gets
// every event that it wants, in order, once, or the error that some are gone.
func TestSlowSubscribersMissNoEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &slow{feed: newFeed(t), t: t, expected: map[uint64]*expectation{}, sub: map[uint64]uint64{},
			has: map[uint64]uint64{}, over: map[uint64]bool{}, ending: map[uint64]bool{}, mustEnd: map[uint64]bool{}}
		s.hub.LimitStalled(rapid.SampledFrom([]int{0, 3, 1 << 20}).Draw(t, "bytes of stalled subscribers"))
		t.Repeat(map[string]func(*rapid.T){
			"set":    func(t *rapid.T) { s.apply(set(drawPath(t))) },
			"remove": func(t *rapid.T) { s.apply(remove(drawPath(t))) },
			"mkdir":  func(t *rapid.T) { s.apply(mkdir(drawPath(t))) },
			"tell":   func(*rapid.T) { s.tell() },
			"many": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*watch.MaxReady).Draw(t, "events") {
					s.apply(set("/a/b"))
				}
				s.tell()
			},
			"history": func(t *rapid.T) {
				s.apply(configure(rapid.SampledFrom([]uint32{0, 3, 1000, 1000, 1000}).Draw(t, "limit")))
			},
			"add":   s.add,
			"add 2": s.add,
			"unsubscribe": func(t *rapid.T) {
				sub := rapid.Uint64Range(1, 4).Draw(t, "subscriber")
				s.hub.Remove(sub)
				for id, x := range s.expected {
					if s.sub[id] == sub && x.removed < 0 {
						delete(s.expected, id)
					}
				}
				s.writing = slices.DeleteFunc(s.writing, func(id uint64) bool { return id == sub })
			},
			"beat": func(t *rapid.T) {
				sub := rapid.Uint64Range(1, 4).Draw(t, "subscriber")
				s.asked[sub] = true
				s.hub.Beat(sub)
			},
			"give up": func(t *rapid.T) {
				sub := rapid.Uint64Range(1, 4).Draw(t, "subscriber")
				s.asked[sub], s.over[sub] = true, true
				s.hub.GiveUp(sub)
			},
			"take":   func(*rapid.T) { s.take() },
			"take 2": func(*rapid.T) { s.take() },
			"written": func(t *rapid.T) {
				if len(s.writing) > 0 {
					s.written(rapid.IntRange(0, len(s.writing)-1).Draw(t, "which"))
				}
			},
			"begin": func(*rapid.T) { s.begin() },
			"scan": func(t *rapid.T) {
				if s.scan != nil && !s.scanned {
					s.scanned = !s.scan.Scan(rapid.IntRange(1, 100).Draw(t, "events"))
				}
			},
			"end": func(*rapid.T) { s.end() },
			"replace": func(*rapid.T) {
				s.history = s.store.History()
				s.hub.Replace(s.history, errLost)
				s.published = append(s.published, s.events...)
				s.events = nil
			},
			"leaderless": func(*rapid.T) { s.loseLeader() },
			"led":        func(*rapid.T) { s.leaderless = false; s.hub.Led() },
			"settle":     func(*rapid.T) { s.finish() },
			"":           func(t *rapid.T) { s.check(false) },
		})
		s.finish()
	})
}

// finish lets everything that was begun end, and checks that no watch lacks an event.
func (s *slow) finish() {
	for {
		s.end()
		for len(s.writing) > 0 {
			s.written(0)
		}
		if s.begin(); !s.take() && s.scan == nil {
			break
		}
	}
	s.check(true)
	if n := s.hub.ReadyBytes(); n != 0 {
		s.t.Fatalf("%d bytes are counted, and nothing is ready", n)
	}
	clear(s.ending)
}

func (s *slow) check(all bool) {
	waiting := 0
	for id, x := range s.expected {
		if x.removed >= 0 {
			continue
		}
		if all && s.mustEnd[id] {
			s.t.Fatalf("%+v of subscriber %d goes on without a leader", x.Watcher, s.sub[id])
		}
		want := x.events(s.published)
		if !all {
			want = want[:min(len(want), len(s.got[id]))]
		}
		if !slices.Equal(s.got[id], want) {
			s.t.Fatalf("%+v of subscriber %d got %v, want %v (all: %t)", x.Watcher, s.sub[id], s.got[id], want, all)
		}
		if x.Stream || len(want) == 0 {
			waiting++
		}
	}
	if all {
		s.wantLen(waiting)
	}
}
