package actors

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/wal"
	"etcd/watch"
)

// A machine that cannot reach a majority ends the watches that need a leader, and refuses new ones until
// there is a leader again. The others wait.
func TestWatchesWithoutQuorum(t *testing.T) {
	disk, err := openTestDisk(dirFS(t, t.TempDir()), wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	cfg.Founders = []store.Member{testMember, leader}
	machine, err := Start(cfg, disk)
	if err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	m := &testMachine{Machine: machine, probe: newProbe(t, machine.System)}
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	watches := func(id uint64, needsLeader bool) {
		m.root.Send(m.Hub, &Watch{ReplyTo: m.pid, Subscriber: id, Beat: needsLeader,
			Watcher: watch.Watcher{ID: id, Path: "/a", Stream: true, NeedsLeader: needsLeader}})
	}
	ends := func(id uint64) {
		t.Helper()
		if w := m.watched(); w.Watch != id || !w.Last || !errors.Is(w.Err, ErrNoQuorum) {
			t.Fatalf("%+v, want ErrNoQuorum for watch %d", w, id)
		}
	}
	watches(1, false)
	watches(2, true)
	if first := next[*WatchReply](m.probe); first.ID != 2 || len(first.Deliveries) > 0 {
		t.Fatalf("%+v, want a sign of life for watch 2", first)
	}
	m.root.Send(m.Hub, &Written{Subscriber: 2})
	ends(2)
	watches(3, true)
	ends(3)

	id := uint64(3)
	for deadline := time.Now().Add(patience); ; { // a leader is heard from once
		m.root.Send(m.Raft, &raftnode.Message{Message: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: new(leader.ID), To: new(testMember.ID), Term: new(uint64(9)), Commit: new(uint64(0)),
		}})
		id++
		watches(id, true)
		if next[*WatchReply](m.probe).More {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("watches are still refused")
		}
	}
	m.root.Send(m.Hub, &Written{Subscriber: id})
	ends(id)
	if n := m.Watchers(); n != 1 {
		t.Errorf("%d watches are left, want the one that needs no leader", n)
	}
}
