package raftnode_test

import (
	"testing"

	"etcd/raftnode"
)

func TestSnapshotThresholds(t *testing.T) {
	for _, c := range []struct {
		name           string
		entries, bytes uint64
		want           uint64 // index at which a snapshot is requested; 0: never
	}{
		{"entries", 5, 1 << 20, 5},
		{"bytes", 1 << 20, 280, 6},
		{"never", 1, 0, 0},
		{"below both thresholds", 9, 1 << 20, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A command is about 10 bytes, its envelope 17, and the rest of the entry 24; the
			// bootstrap is about the same, the first entry of the term is empty.
			m := written(t, 5, func(cfg *raftnode.Config) { cfg.SnapshotEntries, cfg.SnapshotBytes = c.entries, c.bytes })
			if got := m.snapshot; got == nil && c.want != 0 || got != nil && got.meta.GetIndex() != c.want {
				t.Fatalf("got %+v, want one at %d", got, c.want)
			}
			// The harness checks its term and members.
		})
	}
}

func TestOneSnapshotAtATime(t *testing.T) {
	m := written(t, 20, func(c *raftnode.Config) { c.SnapshotEntries, c.SnapshotBytes = 4, 1<<20 })
	if got := m.snapshot.meta.GetIndex(); got != 4 {
		t.Fatalf("the first one is at %d, want 4", got)
	}
	m.saveSnapshot()
	m.snapshotted()
	m.settle()
	if m.snapshot != nil {
		t.Fatalf("another one is asked for at %v, although nothing happened", m.snapshot.meta)
	}
	m.propose()
	m.settle()
	if m.snapshot == nil || m.snapshot.meta.GetIndex() != 23 {
		t.Fatalf("the second one is %+v, want one at 23", m.snapshot)
	}
	m.saveSnapshot()
	m.snapshotted()
	for range 3 {
		m.propose()
		m.settle()
	}
	if m.snapshot != nil {
		t.Fatalf("the third one is asked for after 3 entries: %v", m.snapshot.meta)
	}
	m.propose()
	m.settle()
	if m.snapshot == nil || m.snapshot.meta.GetIndex() != 27 {
		t.Fatalf("the third one is %+v, want one at 27", m.snapshot)
	}
}

// The larger the state, the longer the log between two snapshots, up to a bound.
func TestSnapshotThresholdGrowsWithLastSnapshot(t *testing.T) {
	m := leading(t, func(c *raftnode.Config) { c.SnapshotBytes, c.MaxSnapshotBytes = 500, 3000 })
	for _, step := range []struct{ size, atLeast, atMost uint64 }{{100, 500, 600}, {2000, 500, 600}, {9000, 2000, 2100}, {1, 3000, 3100}, {1, 500, 600}} {
		var bytes uint64
		for m.snapshot == nil {
			m.propose()
			bytes += 51 // of a command, its envelope and the rest of the entry
			m.settle()
		}
		if bytes += 51; bytes < step.atLeast || bytes > step.atMost {
			t.Fatalf("asked for after about %d bytes, want %d", bytes, step.atLeast)
		}
		m.saveSnapshot()
		if err := m.node.Snapshotted(m.snapshot.meta, step.size); err != nil {
			t.Fatal(err)
		}
		m.snapshot = nil
	}
}

func TestSnapshotAtLowerIndex(t *testing.T) {
	m := written(t, 4, func(c *raftnode.Config) { c.SnapshotEntries, c.SnapshotBytes = 4, 1<<20 })
	meta := m.snapshot.meta
	m.saveSnapshot()
	m.snapshotted()
	if err := m.node.Snapshotted(meta, 1); err == nil {
		t.Fatal("the same snapshot is accepted twice")
	}
}
