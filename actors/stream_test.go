package actors

import (
	"errors"
	"testing"

	"etcd/watch"
)

// stream adds watches to a new subscriber, which all keep going.
func (m *testMachine) stream(id, since uint64, paths ...string) {
	all := make([]watch.Watcher, len(paths))
	for i, path := range paths {
		all[i] = watch.Watcher{ID: uint64(i), Path: path, Since: since, Recursive: true, Stream: true}
	}
	m.root.Send(m.Hub, &Watch{ReplyTo: m.pid, Subscriber: id, Watcher: all[0], Others: all[1:], Beat: true})
}

// A stream of several keys begins with a sign of life, goes on when that is written, and gives one
// whenever it is asked for.
func TestStream(t *testing.T) {
	m := start(t, t.TempDir())
	writer := other(m)
	write := func(path string) {
		m.root.Send(m.Raft, &Propose{ReplyTo: writer, Command: set(path, "x", 0)})
	}
	m.stream(1, 0, "/a", "/b")
	begin := next[*WatchReply](m.probe)
	if len(begin.Deliveries) != 0 || !begin.More {
		t.Fatalf("it begins with %+v", begin)
	}
	write("/b/1")
	m.root.Send(m.Hub, &Written{Subscriber: 1})
	reply := next[*WatchReply](m.probe)
	if len(reply.Deliveries) != 1 || reply.Deliveries[0].Watch != 1 || reply.Index <= begin.Index || reply.Index != reply.Deliveries[0].Event.Index {
		t.Fatalf("an event: %+v", reply)
	}
	m.root.Send(m.Hub, &Written{Subscriber: 1})
	m.root.Send(m.Hub, &Beat{Subscriber: 1})
	if beat := next[*WatchReply](m.probe); len(beat.Deliveries) != 0 || beat.Index != reply.Index || !beat.More {
		t.Fatalf("a sign of life: %+v", beat)
	}
	m.root.Send(m.Hub, &GiveUp{Subscriber: 1})
	m.root.Send(m.Hub, &Written{Subscriber: 1})
	if last := next[*WatchReply](m.probe); len(last.Deliveries) != 0 || last.More {
		t.Fatalf("the end: %+v", last)
	}
	if n := m.Watchers(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}

// If one of the watches of a stream cannot begin, none does, and the error is the only reply.
func TestStreamOfClearedHistory(t *testing.T) {
	m := start(t, t.TempDir(), func(c *Config) { c.HistoryLimit = 2 })
	newest := m.set("/b", "x")
	since := newest
	for range 5 {
		newest = m.set("/a", "x")
	}
	m.root.Send(m.Hub, &Watch{ReplyTo: m.pid, Subscriber: 1, Beat: true,
		Watcher: watch.Watcher{Path: "/a", Stream: true}, Others: []watch.Watcher{{ID: 1, Path: "/b", Since: since, Stream: true}}})
	reply := next[*WatchReply](m.probe)
	var cleared *watch.ClearedError
	if reply.More || reply.Index != newest || len(reply.Deliveries) != 1 || !errors.As(reply.Deliveries[0].Err, &cleared) {
		t.Errorf("%+v", reply)
	}
	m.set("/a", "y")
	m.silent()
	if n := m.Watchers(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}
