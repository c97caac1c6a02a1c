package actors

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store"
	"etcd/watch"
)

// A watch of what is quiet waits, and misses nothing, however many events of others the history has
// dropped since its index.
func TestWatchOfQuietPath(t *testing.T) {
	m := start(t, t.TempDir(), func(c *Config) { c.HistoryLimit = 3 })
	since := m.set("/quiet/a", "x") + 1
	busy := func() {
		for range 5 {
			m.set("/busy", "x")
		}
	}
	id := uint64(0)
	watches := func(path string) *probe {
		p := newProbe(t, m.System)
		id++
		m.root.Send(m.Hub, &Watch{ReplyTo: p.pid, Subscriber: id, Watcher: watch.Watcher{Path: path, Since: since, Recursive: true}})
		return p
	}
	gets := func(p *probe) watch.Delivery {
		t.Helper()
		return next[*WatchReply](p).Deliveries[0]
	}
	busy()
	waiting := []*probe{watches("/quiet/a"), watches("/quiet")}
	m.eventually("the watches wait", func() bool { return m.Watchers() == 2 })
	changed := m.set("/quiet/a", "y")
	m.set("/busy", "x")
	for _, p := range append(waiting, watches("/quiet")) { // the history has it still
		if got := gets(p); got.Event == nil || got.Event.Index != changed {
			t.Errorf("%+v, want event %d", got, changed)
		}
	}
	busy()
	if got := gets(watches("/quiet/a")); !errors.As(got.Err, new(*watch.ClearedError)) {
		t.Errorf("%+v, want a ClearedError", got)
	}
	if n := m.Watchers(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}

// Of several keys each has to be quiet.
func TestStreamOfQuietPaths(t *testing.T) {
	m := start(t, t.TempDir(), func(c *Config) { c.HistoryLimit = 3 })
	since := m.set("/quiet/a", "x") + 1
	for range 5 {
		m.set("/busy", "x")
	}
	client := newProbe(t, m.System)
	stream := func(id uint64, other string) *WatchReply {
		m.root.Send(m.Hub, &Watch{ReplyTo: client.pid, Subscriber: id, Beat: true,
			Watcher: watch.Watcher{Path: "/quiet/a", Since: since, Stream: true},
			Others:  []watch.Watcher{{ID: 1, Path: other, Since: since, Stream: true}}})
		return next[*WatchReply](client)
	}
	if refused := stream(1, "/busy"); refused.More || !errors.As(refused.Deliveries[0].Err, new(*watch.ClearedError)) {
		t.Errorf("%+v, want a ClearedError", refused)
	}
	if first := stream(2, "/quiet/b"); !first.More || len(first.Deliveries) > 0 || first.Index < since {
		t.Fatalf("%+v, want a sign of life", first)
	}
	m.root.Send(m.Hub, &Written{Subscriber: 2})
	changed := m.set("/quiet/b", "y")
	if reply := next[*WatchReply](client); reply.Deliveries[0].Event == nil || reply.Deliveries[0].Event.Index != changed {
		t.Errorf("%+v, want event %d", reply, changed)
	}
}

// What happens to a watch while the store actor is asked about it is not forgotten.
func TestAskingAboutWatch(t *testing.T) {
	s := store.New()
	for index, command := range [][]byte{bootstrapCommand(Config{Member: testMember, HistoryLimit: 1}), set("/busy", "x", 0), set("/busy", "x", 0)} {
		if _, err := s.Apply(uint64(index+1), 0, command); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		message any
		want    func(last *WatchReply) bool // nil: no answer comes
	}{
		{"its client leaves", &Unwatch{Subscriber: 1}, nil},
		{"its time is over", &GiveUp{Subscriber: 1}, func(last *WatchReply) bool { return len(last.Deliveries) == 0 && last.Index == 3 }},
		{"the machine stops", closeWatches{}, func(last *WatchReply) bool { return errors.Is(last.Deliveries[0].Err, ErrClosing) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			system := newSystem(slog.New(slog.DiscardHandler))
			t.Cleanup(system.Shutdown)
			client, asked := newProbe(t, system), newProbe(t, system)
			hub := &hubActor{hub: watch.NewHub(s.History()), metrics: newMetrics(), asking: make(map[uint64]bool)}
			to := &pids{store: asked.pid}
			to.hub = system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return hub }))
			to.writers = []*actor.PID{system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &writerActor{metrics: hub.metrics} }))}
			system.Root.Send(to.writers[0], to)
			system.Root.Send(to.hub, to)

			system.Root.Send(to.hub, &Watch{ReplyTo: client.pid, Subscriber: 1, Watcher: watch.Watcher{Path: "/quiet", Since: 1}})
			request := next[*cleared](asked)
			system.Root.Send(to.hub, c.message)
			answer := (&storeActor{store: s}).reconsider(request)
			if answer.err != nil {
				t.Fatal(answer.err)
			}
			system.Root.Send(to.hub, answer)
			if c.want == nil {
				system.Root.Send(to.hub, &Watch{ReplyTo: client.pid, Subscriber: 2, Watcher: watch.Watcher{Path: "/busy", Since: 1}})
				next[*cleared](asked) // behind the first watch
				client.silent()
			} else if last := next[*WatchReply](client); last.More || !c.want(last) {
				t.Errorf("the end: %+v", last)
			}
			if n := hub.metrics.hub.get().Watches; n != 0 {
				t.Errorf("%d watches are left", n)
			}
		})
	}
}
