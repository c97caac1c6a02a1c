package watch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/watch"
)

// reporter is what both testing.T and rapid.T can do.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// feed is a hub behind a real store, and what it delivered to whom.
type feed struct {
	t     reporter
	store *store.Store
	hub   *watch.Hub
	index uint64

	events    []*store.Event   // not published yet
	published []*store.Event   // in order
	history   store.History    // as it was when they were
	got       map[uint64][]got // by watcher
	out       []watch.Delivery // reused
}

// got is one delivery.
type got struct {
	index uint64
	last  bool
}

func newFeed(t reporter) *feed {
	s := store.New()
	return &feed{t: t, store: s, hub: watch.NewHub(s.History()), history: s.History(), got: map[uint64][]got{}}
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

func (f *feed) publish() {
	f.t.Helper()
	f.published = append(f.published, f.events...)
	f.history = f.store.History()
	f.deliver(f.hub.Publish(f.events, f.history, f.out[:0]))
	f.events = nil
}

func (f *feed) do(commands ...*storepb.Command) {
	f.t.Helper()
	for _, c := range commands {
		f.apply(c)
		f.publish()
	}
}

func (f *feed) add(w watch.Watcher) error {
	f.t.Helper()
	w.Token = fmt.Sprintf("token %d", w.ID)
	out, err := f.hub.Add(&w, f.out[:0])
	f.deliver(out)
	return err
}

func (f *feed) deliver(out []watch.Delivery) {
	f.t.Helper()
	f.out = out
	for _, d := range out {
		id := d.Watcher.ID
		if want := fmt.Sprintf("token %d", id); d.Watcher.Token != want {
			f.t.Fatalf("watcher %d comes with token %v", id, d.Watcher.Token)
		}
		earlier := f.got[id]
		if n := len(earlier); n > 0 && earlier[n-1].last {
			f.t.Fatalf("watcher %d gets event %d after its last one", id, d.Event.Index)
		}
		f.got[id] = append(earlier, got{d.Event.Index, d.Last})
	}
}

// indexes are those of the events that a watcher got.
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
	if f.hub.Len() != n {
		f.t.Fatalf("there are %d watchers, want %d", f.hub.Len(), n)
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

// lapsing is a set, or with dir a directory, whose time is up at once.
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

// expire removes what lapsing made, by the commands that the store asks for.
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

// wants is the rule of who hears of what, as plainly as it can be said.
func wants(w watch.Watcher, e *store.Event) bool {
	watched, changed := components(w.Path), components(e.Node.Path)
	common := 0
	for common < min(len(watched), len(changed)) && watched[common] == changed[common] {
		common++
	}
	switch {
	case common < len(watched) && common < len(changed):
		return false // neither is below the other
	case len(changed) < len(watched):
		return e.Prev != nil && e.Prev.Dir && (e.Action == store.ActionDelete || e.Action == store.ActionExpire)
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
