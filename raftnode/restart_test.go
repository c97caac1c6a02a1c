package raftnode_test

import (
	"reflect"
	"slices"
	"testing"

	"go.etcd.io/raft/v3"

	"etcd/raftnode"
)

// written starts a machine, writes n commands and applies them.
func written(t *testing.T, n int, change ...func(*raftnode.Config)) *machine {
	t.Helper()
	m := leading(t, change...)
	for range n {
		m.propose()
		m.settle()
	}
	return m
}

func TestRestartReplaysLog(t *testing.T) {
	m := written(t, 3)
	before := m.state
	m.crash(len(m.wal))
	if len(m.state) != 0 {
		t.Fatal("the store starts with something")
	}
	m.settle()
	if !slices.Equal(m.state, before) {
		t.Fatalf("got %v, before %v", m.state, before)
	}
	// Entry 6 is the first of the new term.
	write := m.propose()
	m.settle()
	m.wantAnswer(write, answer{index: 7})
	want := raftnode.Status{MemberID: self, Leader: self, Term: 3, Commit: 7, Applied: 7, Voters: []uint64{self}, State: raft.StateLeader}
	if got := m.node.Status(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestWriteLostInCrash(t *testing.T) {
	for _, c := range []struct {
		name    string
		durable int
		want    []uint64
	}{
		{"nothing", 0, []uint64{1}},
		{"its first part", 1, []uint64{1, 3}},
		{"everything", 2, []uint64{1, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := leading(t)
			for range 2 {
				m.propose()
				m.work()
			}
			m.crash(c.durable)
			m.settle()
			var got []uint64
			for _, r := range m.state {
				got = append(got, r.index)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got entries %v, want %v", got, c.want)
			}
			if len(m.answers) > 0 {
				t.Fatalf("the new life answers the old one's requests: %v", m.answers)
			}
		})
	}
}

func TestCrashBeforeFirstWrite(t *testing.T) {
	for durable, want := range map[int]uint64{0: 2, 1: 2} {
		m := fresh(t)
		m.work()
		m.crash(durable)
		m.settle()
		m.wantHandedOut(want)
		if !slices.Equal(m.state, []record{{1, bootstrap}}) {
			t.Fatalf("got %v", m.state)
		}
	}
}

func TestRestartFromSnapshotAndLog(t *testing.T) {
	m := written(t, 4, func(c *raftnode.Config) { c.SnapshotEntries, c.SnapshotBytes = 4, 1<<20 })
	m.saveSnapshot() // at entry 4 of 6
	before := m.state
	m.crash(len(m.wal))
	if got := m.node.Status(); got.Applied != 4 {
		t.Fatalf("starts with %d entries applied, want 4", got.Applied)
	}
	at := len(m.state)
	m.settle()
	if !slices.Equal(m.state, before) {
		t.Fatalf("got %v, before %v", m.state, before)
	}
	if got := m.state[at:]; got[0].index != 5 || len(got) != 2 {
		t.Fatalf("applied after the snapshot: %v, want entries 5 and 6", got)
	}
	if !m.leader.Self {
		t.Fatalf("got leader %+v", m.leader)
	}
}

func TestRestartFromSnapshotAlone(t *testing.T) {
	m := written(t, 2, func(c *raftnode.Config) { c.SnapshotEntries, c.SnapshotBytes = 4, 1<<20 })
	m.saveSnapshot() // at entry 4 of 4
	m.crash(len(m.wal))
	read := m.read()
	write := m.propose()
	m.settle()
	m.wantAnswer(write, answer{index: 6})
	m.wantAnswer(read, answer{})
}

func TestRepeatedCrashes(t *testing.T) {
	m := leading(t)
	for range 20 {
		m.propose()
		m.work()
		m.crash(1)
		m.settle()
	}
	if len(m.state) != 21 {
		t.Fatalf("got %d entries, want 21", len(m.state))
	}
}
