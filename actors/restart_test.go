package actors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"etcd/store"
	"etcd/wal"
	"etcd/wal/vfs"
)

// Everything that was acked is there after a restart: keys, events, members,
// and the index goes on where it was (a new term begins with an entry of its own).
func TestRestart(t *testing.T) {
	for _, snapshots := range []uint64{0, 7} {
		t.Run(fmt.Sprintf("snapshot every %d", snapshots), func(t *testing.T) {
			dir := t.TempDir()
			every := func(c *Config) { c.Raft.SnapshotEntries = snapshots }
			m := start(t, dir, every)
			for i := range 40 {
				m.set(fmt.Sprintf("/k/%02d", i%10), fmt.Sprint(i))
			}
			want := m.read(m.Raft, "/k")
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			m = start(t, dir, every)
			got := m.read(m.Raft, "/k")
			if got.Index != want.Index || len(got.Children) != 10 {
				t.Fatalf("index %d and %d keys, want index %d and 10 keys", got.Index, len(got.Children), want.Index)
			}
			for i, n := range want.Children {
				if *got.Children[i] != *n {
					t.Errorf("%+v after the restart, was %+v", *got.Children[i], *n)
				}
			}
			m.watch(1, "/k/05", 10)
			if w := m.watched(); w.Event == nil || w.Event.Index != 18 || w.Event.Node.Value != "15" {
				t.Errorf("the history after the restart answers %+v, want the event of index 18", w)
			}
			m.watch(2, "/k", 0) // replayed entries are not news
			if s := m.status(); len(s.Members) != 1 || s.Members[0] != testMember || s.HistoryLimit != 1000 {
				t.Errorf("members %+v, history limit %d", s.Members, s.HistoryLimit)
			}
			m.root.Send(m.Raft, &Propose{ReplyTo: other(m), Command: set("/k/00", "again", 0)})
			if w := m.watched(); w.Event == nil || w.Event.Index != want.Index+2 {
				t.Errorf("the first event after the restart is %+v, want index %d", w, want.Index+2)
			}
		})
	}
}

// Stop releases the directory, and nothing goes on running.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	before := goleak.IgnoreCurrent()
	m := start(t, dir, func(c *Config) { c.Raft.SnapshotEntries = 5 })
	for i := range 30 { // their answers are not awaited
		m.root.Send(m.Raft, &Propose{Command: set("/a", fmt.Sprint(i), 0)})
	}
	m.set("/b", "acknowledged")
	if _, err := openTestDisk(dirFS(t, dir), wal.Options{}); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("opening the directory of a running machine: %v, want ErrLocked", err)
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before, deadLetterTimer)
	disk, err := openTestDisk(dirFS(t, dir), wal.Options{})
	if err != nil {
		t.Fatalf("the directory after the stop: %v", err)
	}
	if disk.New || disk.LastIndex() < 33 || disk.Found.Torn != nil {
		t.Errorf("found %+v with last index %d, want at least 33 and no torn tail", disk.Found, disk.LastIndex())
	}
	if err := disk.Close(); err != nil {
		t.Error(err)
	}
}

// A machine may be stopped at any moment of its start.
func TestStopDuringStart(t *testing.T) {
	dir := t.TempDir()
	for range 20 {
		disk, err := openTestDisk(dirFS(t, dir), wal.Options{SegmentSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		m, err := Start(testConfig(), disk)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	m := start(t, dir)
	m.set("/a", "1")
	if s := m.status(); len(s.Members) != 1 || s.Members[0] != testMember {
		t.Errorf("members %+v", s.Members)
	}
}

// Snapshots are written, two are kept, and the log before them is released.
func TestSnapshotsAndRelease(t *testing.T) {
	dir := t.TempDir()
	m := startOn(t, dirFS(t, dir), wal.Options{SegmentSize: 4096}, func(c *Config) {
		c.Raft.SnapshotEntries = 20
	})
	value := strings.Repeat("v", 200)
	var last uint64
	var snapshots, segments []string
	written := map[string]bool{}
	m.eventually("snapshots are pruned to two and segments released", func() bool {
		for i := range 20 {
			last = m.set(fmt.Sprintf("/k/%d", i), value)
		}
		snapshots, segments = list(t, dir, ".snap"), list(t, dir, ".wal")
		for _, s := range snapshots {
			written[s] = true
		}
		return len(written) >= 5 && len(snapshots) == 2 && len(segments) > 0 && segments[0] > "0000000000000003.wal"
	})
	if bytes := uint64(len(segments)) * 4096; bytes > last*200 {
		t.Errorf("%d segments are left after %d entries", len(segments), last)
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	m = start(t, dir)
	if r := m.read(m.Raft, "/k"); len(r.Children) != 20 || r.Index != last {
		t.Errorf("%d keys at index %d, want 20 at %d", len(r.Children), r.Index, last)
	}
}

// A start applies a log of which only a little is in memory, and so do the tools that read
// what is in it.
func TestRestartReadsBackLog(t *testing.T) {
	dir := t.TempDir()
	opts := wal.Options{SegmentSize: 4096, Keep: 2000}
	little := func(c *Config) { c.Raft.MaxInMemory = 2000 }
	m := startOn(t, dirFS(t, dir), opts, little)
	for i := range 200 {
		m.set(fmt.Sprintf("/k/%d", i), strings.Repeat("v", 100))
	}
	want := m.read(m.Raft, "/k").Index
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	m = startOn(t, dirFS(t, dir), opts, little)
	if r := m.read(m.Raft, "/k"); len(r.Children) != 200 || r.Index != want {
		t.Errorf("%d keys at index %d, want 200 at %d", len(r.Children), r.Index, want)
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	disk, err := OpenDisk(dirFS(t, dir), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := disk.Skip([]uint64{10}); err == nil { // long before those in memory
		t.Error("an entry that can be applied is skipped")
	}
	if !disk.Founder() {
		t.Errorf("the log does not say that it is that of a founder: members %v", disk.Members())
	}
	r, err := disk.PrepareRefounding()
	if err != nil || len(r.Without) > 0 || len(disk.store.Children("/k", "", math.MaxInt)) != 200 {
		t.Errorf("another cluster would have %d keys: %v", len(disk.store.Children("/k", "", math.MaxInt)), err)
	}
}

func list(t testing.TB, dir, suffix string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// Changes on the command line are announced to the cluster before the machine is ready;
// without any, no index is used.
func TestAnnouncement(t *testing.T) {
	moved := testMember
	moved.Name, moved.ClientURL, moved.PeerURL = "renamed", "http://127.0.0.1:5001", "http://127.0.0.1:8001"
	limit := func(n uint32, given bool) func(*Config) {
		return func(c *Config) { c.HistoryLimit, c.SetHistoryLimit = n, given }
	}
	as := func(m store.Member) func(*Config) { return func(c *Config) { c.Member = m } }
	tests := []struct {
		name    string
		edit    []func(*Config)
		entries uint64
		member  store.Member
		limit   int
	}{
		{"unchanged", nil, 0, testMember, 1000},
		{"unchanged limit given", []func(*Config){limit(1000, true)}, 0, testMember, 1000},
		{"limit not given", []func(*Config){limit(5, false)}, 0, testMember, 1000},
		{"limit", []func(*Config){limit(5, true)}, 1, testMember, 5},
		{"member", []func(*Config){as(moved)}, 1, moved, 1000},
		{"both", []func(*Config){as(moved), limit(0, true)}, 2, moved, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			m := start(t, dir)
			last := m.set("/a", "1")
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			m = start(t, dir, test.edit...)
			s := m.status() // at once: the machine is ready
			if len(s.Members) != 1 || s.Members[0] != test.member || s.HistoryLimit != test.limit {
				t.Errorf("members %+v, history limit %d; want %+v, %d", s.Members, s.HistoryLimit, test.member, test.limit)
			}
			// One more is the entry that begins the new term.
			if index := m.set("/a", "2"); index != last+2+test.entries {
				t.Errorf("%d entries were used for the announcement, want %d", index-last-2, test.entries)
			}
			if n := len(m.read(m.Raft, "/_etcd/machines").Children); n != 1 {
				t.Errorf("%d machines are listed, want 1", n)
			}
		})
	}
}

func TestOpenDiskRefuses(t *testing.T) {
	filled := func(t *testing.T) string {
		dir := t.TempDir()
		m := start(t, dir)
		for range 5 {
			m.set("/a", "some value that is long enough to be damaged")
		}
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	tests := []struct {
		name   string
		dir    func(t *testing.T) string
		errors func(error) bool
	}{
		{"locked", func(t *testing.T) string {
			dir := t.TempDir()
			lock, err := wal.Lock(dirFS(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { lock.Close() })
			return dir
		}, func(err error) bool { return errors.Is(err, vfs.ErrLocked) }},
		{"damaged log", func(t *testing.T) string {
			dir := filled(t)
			damage(t, filepath.Join(dir, list(t, dir, ".wal")[0]), 200)
			return dir
		}, func(err error) bool { return errors.As(err, new(*wal.CorruptError)) }},
		{"log gone", func(t *testing.T) string {
			dir := t.TempDir()
			m := startOn(t, dirFS(t, dir), wal.Options{SegmentSize: 4096})
			for range 50 {
				m.set("/a", strings.Repeat("x", 500))
			}
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, list(t, dir, ".wal")[0])); err != nil {
				t.Fatal(err)
			}
			return dir
		}, func(err error) bool { return errors.Is(err, wal.ErrIncomplete) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := test.dir(t)
			if disk, err := openTestDisk(dirFS(t, dir), wal.Options{}); err == nil || !test.errors(err) {
				t.Errorf("OpenDisk: %v", err)
				if err == nil {
					_ = disk.Close()
				}
			}
			if test.name == "locked" {
				return
			}
			// A refused directory is unlocked, so that it can be examined and repaired.
			lock, err := wal.Lock(dirFS(t, dir))
			if err != nil {
				t.Fatalf("the refused directory stays locked: %v", err)
			}
			lock.Close()
		})
	}
}

func damage(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
}
