package actors

import (
	"fmt"
	"testing"
	"time"

	"etcd/store/logtime"
	"etcd/store/tree"
	"etcd/wal"
)

func withClock(c *fakeClock) func(*Config) { return func(cfg *Config) { cfg.Clock = c.read } }

// looked waits until the reaper has looked at the clock some times more.
func (m *testMachine) looked() {
	m.t.Helper()
	reaper := m.kind("reaper")
	from := reaper.Received()
	m.eventually("the reaper looks at the clock", func() bool { return reaper.Received() >= from+5 })
}

func TestExpiryIsACommand(t *testing.T) {
	clock := newFakeClock()
	m := start(t, t.TempDir(), withClock(clock))
	r := m.propose(set("/a", "1", 5*time.Millisecond))
	if want := clock.time().Add(5 * time.Millisecond); r.Event.Node.Deadline != want {
		t.Errorf("deadline %d, want %d: that of the injected clock", r.Event.Node.Deadline, want)
	}
	m.watch(1, "/a", 0)
	clock.advance(5 * time.Millisecond)
	w := m.watched()
	if w.Event == nil || w.Event.Action != tree.ActionExpire || w.Event.Index != 4 || w.Event.Prev.Value != "1" {
		t.Fatalf("%+v, want the expiry of the key at index 4", w)
	}
	if read := m.read(m.Raft, "/a"); read.Failure == nil || read.Index != 4 {
		t.Errorf("read behind the expiry: %+v", read)
	}
	if index := m.set("/b", "2"); index != 5 {
		t.Errorf("index %d after the expiry, want 5", index)
	}
	if c := m.status().Counts; c.Expired != 1 {
		t.Errorf("counts %+v", c)
	}
}

// However much time passes elsewhere, a key lives until the injected clock says so,
// to the nanosecond.
func TestNeverEarly(t *testing.T) {
	clock := newFakeClock()
	m := start(t, t.TempDir(), withClock(clock))
	const ttl = 5 * time.Millisecond
	m.propose(set("/a", "1", ttl))
	m.looked() // several times the time to live have passed on the wall
	clock.advance(ttl - 1)
	m.looked()
	if r := m.read(m.Raft, "/a"); r.Node == nil || r.Index != 3 {
		t.Fatalf("expired, or tried to, a nanosecond early: %+v", r)
	}
	clock.advance(1)
	m.eventually("the key expires", func() bool { return m.read(m.Raft, "/a").Node == nil })
}

func TestRefreshOutlivesFirstDeadline(t *testing.T) {
	clock := newFakeClock()
	m := start(t, t.TempDir(), withClock(clock))
	m.propose(set("/a", "1", 5*time.Millisecond))
	m.propose(set("/a", "2", 15*time.Millisecond))
	m.propose(set("/b", "1", 5*time.Millisecond))
	m.set("/b", "2") // permanent now
	clock.advance(10 * time.Millisecond)
	m.looked()
	if r := m.read(m.Raft, "/a"); r.Node == nil || r.Index != 6 {
		t.Errorf("a key expired at the deadline it had before: %+v", r)
	}
	clock.advance(10 * time.Millisecond)
	m.eventually("the key expires", func() bool { return m.read(m.Raft, "/a").Node == nil })
	if r := m.read(m.Raft, "/b"); r.Node == nil {
		t.Error("a key that had become permanent expired")
	}
}

// The deadline is in the log: a key that was due while the machine was down expires when it
// is back, and no other.
func TestExpiryAcrossRestart(t *testing.T) {
	dir, clock := t.TempDir(), newFakeClock()
	m := start(t, dir, withClock(clock))
	m.propose(set("/short", "1", time.Minute))
	m.propose(set("/long", "1", time.Hour))
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	clock.advance(10 * time.Minute)
	m = start(t, dir, withClock(clock))
	m.watch(1, "/short", 4)
	if w := m.watched(); w.Event == nil || w.Event.Action != tree.ActionExpire {
		t.Errorf("%+v, want an expiry", w)
	}
	if r := m.read(m.Raft, "/long"); r.Node == nil {
		t.Error("a key expired before its time")
	}
}

// Keys with one deadline expire one by one, each by a command of its own.
func TestManyExpireTogether(t *testing.T) {
	clock := newFakeClock()
	m := start(t, t.TempDir(), withClock(clock))
	const keys = maxExpiredPerRound + 10
	for i := range keys {
		m.root.Send(m.Raft, &Propose{ID: 1, ReplyTo: m.pid, Command: set(fmt.Sprintf("/k/%04d", i), "x", 5*time.Millisecond)})
	}
	for range keys {
		next[*Proposed](m.probe)
	}
	m.eventually("all keys expire", func() bool {
		clock.advance(10 * time.Millisecond)
		return m.isEmpty("/k")
	})
	if c := m.status().Counts; c.Expired != keys {
		t.Errorf("%d keys expired, want %d", c.Expired, keys)
	}
}

// A deadline further away than a duration can express, as the longest time to live
// makes one when the clock was set back before a restart, must not make the reaper
// spin.
func TestFarDeadlineDoesNotSpin(t *testing.T) {
	dir, clock := t.TempDir(), newFakeClock()
	m := start(t, dir, withClock(clock))
	m.propose(set("/a", "1", logtime.MaxTTL))
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	clock.advance(-time.Hour)
	m = start(t, dir, withClock(clock))
	reaper := m.kind("reaper")
	from := reaper.Received()
	for range 500 {
		m.sync()
	}
	if n := reaper.Received() - from; n > 10 {
		t.Errorf("the reaper received %d messages while nothing happened", n)
	}
}

// One entry of the log for every key that expires, however many there are.
func TestOneEntryForEachExpiredKey(t *testing.T) {
	clock := newFakeClock()
	m := start(t, t.TempDir(), withClock(clock))
	const keys = 5000
	for i := range keys {
		m.root.Send(m.Raft, &Propose{ID: 1, ReplyTo: m.pid, Command: set(fmt.Sprintf("/k/%04d", i), "x", 5*time.Millisecond+time.Duration(i))})
	}
	for range keys {
		next[*Proposed](m.probe)
	}
	before := m.set("/other", "1")
	clock.advance(10 * time.Millisecond)
	m.eventually("all keys expire", func() bool { return m.isEmpty("/k") })
	if after := m.set("/other", "2"); after != before+keys+1 {
		t.Errorf("%d keys have cost %d entries", keys, after-before-1)
	}
}

// A round with an unknown outcome is over, too: keys that are due later expire.
func TestExpiryAfterFailedRound(t *testing.T) {
	fsys, shut, open := gatedFS(t)
	clock := newFakeClock()
	m := startOn(t, fsys, wal.Options{SegmentSize: 1 << 20}, withClock(clock), func(cfg *Config) { cfg.Raft.RequestTicks = 20 })
	t.Cleanup(open) // before the stop of the machine, which waits for the disk
	m.propose(set("/a", "1", 5*time.Millisecond))
	m.propose(set("/b", "1", time.Second))
	shut()
	clock.advance(5 * time.Millisecond)
	reaper := m.kind("reaper")
	from := reaper.Received()
	// The reaper wakes, gets a command from the store, and learns that its outcome is unknown.
	m.eventually("the round fails", func() bool { return reaper.Received() >= from+3 })
	open()
	m.eventually("the key expires", func() bool { return m.read(m.Raft, "/a").Node == nil })
	clock.advance(2 * time.Second)
	m.eventually("the other key expires", func() bool { return m.read(m.Raft, "/b").Node == nil })
}
