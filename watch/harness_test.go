package watch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
	"etcd/watch"
)

// reporter is what testing.T and rapid.T have in common.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// feed is a hub behind a real store, and what it has delivered to each subscriber.
type feed struct {
	t     reporter
	store *store.Store
	hub   *watch.Hub
	index uint64

	events    []*tree.Event    // not published yet
	published []*tree.Event    // in order
	history   tree.History     // as of the last publish
	got       map[uint64][]got // by subscriber
	lost      map[uint64]error // by subscriber
	asked     map[uint64]bool  // subscribers that have asked for a sign of life
	order     []uint64         // of the subscribers that got something in the last settle
}

// got is one delivery of an event.
type got struct {
	index uint64
	last  bool
}

func newFeed(t reporter) *feed {
	s := store.New()
	return &feed{t: t, store: s, hub: watch.NewHub(s.History()), history: s.History(), got: map[uint64][]got{}, lost: map[uint64]error{}, asked: map[uint64]bool{}}
}

// apply applies a command at the next index but does not publish its event yet.
func (f *feed) apply(c *storepb.Command) {
	f.t.Helper()
	f.index++
	result, err := f.store.Apply(f.index, 1000, store.Encode(c))
	if err != nil {
		f.t.Fatalf("command %d: %v", f.index, err)
	}
	if result.Published {
		f.events = append(f.events, result.Event)
	}
}

// publish publishes the events to the hub, and delivers until nothing is ready.
func (f *feed) publish() {
	f.t.Helper()
	f.tell()
	f.settle()
}

func (f *feed) tell() {
	f.published = append(f.published, f.events...)
	f.history = f.store.History()
	f.hub.Publish(f.events, f.history)
	f.events = nil
}

func (f *feed) do(commands ...*storepb.Command) {
	f.t.Helper()
	for _, c := range commands {
		f.apply(c)
		f.publish()
	}
}

// add adds a watch with a subscriber of its own, which has the same ID.
func (f *feed) add(w watch.Watcher) error {
	f.t.Helper()
	err := f.hub.Add(w.ID, fmt.Sprintf("token %d", w.ID), w)
	f.settle()
	return err
}

// settle delivers all that can be delivered.
func (f *feed) settle() {
	f.t.Helper()
	f.order = nil
	for {
		for batches := f.hub.Next(7); batches != nil; batches = f.hub.Next(7) {
			for _, b := range batches {
				f.deliver(b)
				f.hub.Written(b.Subscriber)
			}
		}
		c := f.hub.CatchUp()
		if c == nil {
			return
		}
		for c.Scan(3) {
		}
		f.hub.CaughtUp(c)
	}
}

func (f *feed) deliver(b watch.Batch) {
	f.t.Helper()
	if want := fmt.Sprintf("token %d", b.Subscriber); b.Token != want {
		f.t.Fatalf("subscriber %d comes with token %v", b.Subscriber, b.Token)
	}
	f.order = append(f.order, b.Subscriber)
	events := 0
	for _, d := range b.Deliveries {
		if d.Err != nil {
			if !d.Last {
				f.t.Fatalf("subscriber %d goes on after %v", b.Subscriber, d.Err)
			}
			f.lost[d.Watch] = d.Err
			continue
		}
		events++
		earlier := f.got[d.Watch]
		if n := len(earlier); n > 0 && earlier[n-1].last {
			f.t.Fatalf("watch %d gets event %d after its last one", d.Watch, d.Event.Index)
		}
		f.got[d.Watch] = append(earlier, got{d.Event.Index, d.Last})
	}
	if events > watch.MaxReady || len(b.Deliveries) == 0 && !f.asked[b.Subscriber] {
		f.t.Fatalf("subscriber %d gets %d deliveries, of which %d events", b.Subscriber, len(b.Deliveries), events)
	}
}

// indexes returns the indexes of the events that a watcher got.
func (f *feed) indexes(id uint64) []uint64 {
	var all []uint64
	for _, g := range f.got[id] {
		all = append(all, g.index)
	}
	return all
}

func (f *feed) want(id uint64, indexes ...uint64) {
	f.t.Helper()
	if got := f.indexes(id); !slices.Equal(got, indexes) {
		f.t.Fatalf("watcher %d got %v, want %v", id, got, indexes)
	}
}

func (f *feed) wantLen(n int) {
	f.t.Helper()
	if f.hub.Stats().Watches != n {
		f.t.Fatalf("there are %d watchers, want %d", f.hub.Stats().Watches, n)
	}
}

func set(path string) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: path, Value: []byte("v")}}}
}

func mkdir(path string) *storepb.Command {
	c := set(path)
	c.GetSet().Dir = true
	return c
}

// lapsing returns a set, or with dir a directory, that expires at once.
func lapsing(path string, dir bool) *storepb.Command {
	c := set(path)
	c.GetSet().Dir, c.GetSet().TtlNs = dir, new(int64(0))
	return c
}

func refresh(path string) *storepb.Command {
	c := set(path)
	c.GetSet().Refresh, c.GetSet().Condition = true, &storepb.Condition{Exist: new(true)}
	return c
}

func remove(path string) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: path, Dir: true, Recursive: true}}}
}

func configure(limit uint32) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Configure{Configure: &storepb.Configure{HistoryLimit: limit}}}
}

// expire removes what lapsing has made, by the expire commands that the store asks for.
func (f *feed) expire() {
	f.t.Helper()
	for _, command := range f.store.Expired(1000, 100) {
		f.index++
		result, err := f.store.Apply(f.index, 1000, command)
		if err != nil {
			f.t.Fatalf("expire: %v", err)
		}
		if result.Published {
			f.events = append(f.events, result.Event)
		}
	}
	f.publish()
}

// wants is the rule by which a watcher gets an event, as plain as it can be.
func wants(w watch.Watcher, e *tree.Event) bool {
	watched, changed := components(w.Path), components(e.Node.Path)
	common := 0
	for common < min(len(watched), len(changed)) && watched[common] == changed[common] {
		common++
	}
	switch {
	case common < len(watched) && common < len(changed):
		return false // neither is below the other
	case len(changed) < len(watched):
		return e.Prev != nil && e.Prev.Dir && (e.Action == tree.ActionDelete || e.Action == tree.ActionExpire)
	case len(changed) == len(watched):
		return true
	}
	hidden := slices.ContainsFunc(changed[len(watched):], func(name string) bool { return name[0] == '_' })
	return w.Recursive && (w.Hidden || !hidden)
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

var _ reporter = (*testing.T)(nil)
