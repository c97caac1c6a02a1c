package raftnode_test

import (
	"testing"

	"pgregory.net/rapid"

	"etcd/raftnode"
)

// Whatever happens in whatever order, crashes included: nothing acknowledged is lost, entries
// come in order, reads are linearizable, and every request is answered once and in time. The
// machine checks all of it.
func TestSingleMachineLosesNoAckedWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := fresh(t, func(c *raftnode.Config) {
			// Raft draws its own random election timeouts, so a run is repeatable
			// only while none of them passes.
			c.ElectionTicks = rapid.SampledFrom([]int{1000, 4}).Draw(t, "election ticks")
			c.RequestTicks = 8
			c.SnapshotEntries = rapid.Uint64Range(0, 6).Draw(t, "snapshot entries")
			c.SnapshotBytes = rapid.Uint64Range(1, 400).Draw(t, "snapshot bytes")
			c.MaxSinceSnapshot = 1 << 20
			c.MaxInMemory = rapid.SampledFrom([]int{0, 400, 2000}).Draw(t, "bytes in memory")
		})
		if rapid.Bool().Draw(t, "leads") {
			m.settle()
		}
		some := func(t *rapid.T, n int) int {
			if n == 0 {
				t.Skip("nothing there")
			}
			return rapid.IntRange(1, n).Draw(t, "n")
		}
		t.Repeat(map[string]func(*rapid.T){
			"propose": func(*rapid.T) { m.propose() },
			"read":    func(*rapid.T) { m.read() },
			"write": func(*rapid.T) {
				m.propose()
				m.work()
				m.sync(len(m.wal))
				m.work()
			},
			"tick":   func(t *rapid.T) { m.tick(rapid.IntRange(1, 5).Draw(t, "ticks")) },
			"work":   func(*rapid.T) { m.work() },
			"sync":   func(t *rapid.T) { m.sync(some(t, len(m.wal))) },
			"apply":  func(t *rapid.T) { m.apply(some(t, len(m.store))) },
			"settle": func(*rapid.T) { m.settle() },
			"snapshot": func(t *rapid.T) {
				switch {
				case m.snapshot == nil || m.applied < m.snapshot.meta.GetIndex():
					t.Skip("none is asked for, or it cannot be taken yet")
				case !m.snapshot.saved:
					m.saveSnapshot()
				default:
					m.snapshotted()
				}
			},
			"crash": func(t *rapid.T) {
				m.crash(rapid.IntRange(0, len(m.wal)).Draw(t, "writes that are durable all the same"))
				m.read()
			},
		})
		write, read := m.propose(), m.read()
		m.settle()
		if len(m.open) > 0 {
			t.Fatalf("%d requests get no answer", len(m.open))
		}
		m.wantAnswer(write, answer{index: m.handedOut})
		m.wantAnswer(read, answer{})
		if len(m.state) != len(m.log) {
			t.Fatalf("this life has %d entries, one before had %d", len(m.state), len(m.log))
		}
	})
}
