package actors

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd/wal"
)

// A snapshot that is being written when the machine stops is abandoned, and nothing is lost
// by that.
func TestStopAbandonsSnapshot(t *testing.T) {
	dir := t.TempDir()
	fsys := &hookFS{FS: dirFS(t, dir)}
	var logged strings.Builder
	const values = 24
	m := startOn(t, fsys, wal.Options{SegmentSize: 1 << 20}, func(c *Config) {
		c.Raft.SnapshotBytes, c.Raft.SnapshotEntries = values<<20, 1<<20
		c.Log = slog.New(slog.NewTextHandler(&logged, nil))
	})
	begun := make(chan struct{})
	fsys.onSync(func(name string) error {
		if strings.Contains(name, ".snap") {
			fsys.onSync(func(string) error { return nil })
			close(begun)
			<-m.stopping.Done()
		}
		return nil
	})
	value := strings.Repeat("v", 1<<20)
	for i := range values {
		m.set("/"+strconv.Itoa(i), value)
	}
	select {
	case <-begun:
	case <-time.After(patience):
		t.Fatal("no snapshot is synced while it is written")
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	if files := append(list(t, dir, ".snap"), list(t, dir, ".tmp")...); len(files) > 0 {
		t.Errorf("the snapshot was not abandoned, or not cleaned up: %v", files)
	}
	if !strings.Contains(logged.String(), "abandoned a snapshot") || strings.Contains(logged.String(), "level=ERROR") {
		t.Errorf("logged:\n%s", &logged)
	}
	m = start(t, dir)
	for i := range values {
		if reply := m.read(m.Store, "/"+strconv.Itoa(i)); reply.Node == nil || reply.Node.Value != value {
			t.Errorf("value %d is lost", i)
		}
	}
}

// A stop does not wait for ever for a disk that hangs, and names the actors that do.
func TestStopIsBounded(t *testing.T) {
	fsys := &hookFS{FS: dirFS(t, t.TempDir())}
	m := startOn(t, fsys, wal.Options{SegmentSize: 1 << 20})
	m.set("/a", "1")
	stuck, answer := make(chan struct{}), make(chan struct{})
	fsys.onSync(func(string) error {
		fsys.onSync(func(string) error { return nil })
		close(stuck)
		<-answer
		return nil
	})
	m.root.Send(m.Raft, &Propose{Command: set("/b", "2", 0)})
	<-stuck
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Stop(ctx) }()
	for deadline := time.Now().Add(patience); len(m.running.left()) > 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("still at work: %v", m.running.left())
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "cut off: wal.") {
			t.Errorf("got error %v", err)
		}
	case <-time.After(patience):
		t.Error("the stop waits for the disk")
	}
	close(answer)
	m.stopOnce.Do(func() { m.stopErr = m.Stop(context.Background()) }) // for the disk, and the goroutines
}

// A stop ends the request of a snapshot that waits for its turn.
func TestStopEndsWaitingReceive(t *testing.T) {
	fsys := &hookFS{FS: dirFS(t, t.TempDir())}
	m := startOn(t, fsys, wal.Options{SegmentSize: 1 << 20})
	begun, answer := make(chan struct{}), make(chan struct{})
	fsys.onSync(func(name string) error {
		if strings.Contains(name, ".snap") {
			close(begun)
			<-answer
		}
		return nil
	})
	received := make(chan error, 1)
	go func() {
		received <- m.ReceiveSnapshot(leader.ID, encoded(t, leadersMessage(1000)), 1000, strings.NewReader(leadersState(1000)))
	}()
	<-begun
	m.Disconnect()
	select {
	case err := <-received:
		if !errors.Is(err, errStopping) {
			t.Errorf("got error %v", err)
		}
	case <-time.After(patience):
		t.Error("the connection waits for the disk")
	}
	close(answer)
}
