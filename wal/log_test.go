package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
	"etcd/wal/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write appends entries from first to last and syncs each by itself.
func (d *driver) write(t testing.TB, term, first, last uint64) {
	t.Helper()
	for i := first; i <= last; i++ {
		d.entry(i, term, fmt.Sprintf("entry %d of term %d", i, term))
		d.hardState(term, 1, i)
		must(t, d.sync())
	}
}

// restart closes the log and checks that reopening gives the model's state.
func (d *driver) restart(t testing.TB) {
	t.Helper()
	must(t, d.log.Close())
	must(t, d.reopen(d.fs, false))
}

func TestReopenGivesBackWhatWasSynced(t *testing.T) {
	tests := map[string]func(t *testing.T, d *driver){
		"nothing":               func(t *testing.T, d *driver) {},
		"hard state only":       func(t *testing.T, d *driver) { d.hardState(3, 7, 0); must(t, d.sync()) },
		"an entry without data": func(t *testing.T, d *driver) { d.entry(1, 1, ""); must(t, d.sync()) },
		"several segments":      func(t *testing.T, d *driver) { d.write(t, 1, 1, 40) },
		"a batch over segment size": func(t *testing.T, d *driver) {
			d.write(t, 1, 1, 2)
			d.entry(3, 1, strings.Repeat("x", 3000))
			must(t, d.sync())
			d.write(t, 1, 4, 8)
		},
		"overwrite of the tail": func(t *testing.T, d *driver) {
			d.write(t, 1, 1, 14)
			for i := uint64(15); i <= 40; i++ {
				d.entry(i, 1, "stale")
				must(t, d.sync())
			}
			d.entry(15, 2, "other")
			must(t, d.sync())
		},
		"overwrite inside a batch": func(t *testing.T, d *driver) {
			d.entry(1, 1, "a")
			d.entry(2, 1, "b")
			d.entry(1, 2, "c")
			must(t, d.sync())
		},
		"local snapshot keeps the entries after it": func(t *testing.T, d *driver) {
			d.write(t, 1, 1, 20)
			must(t, d.snapshot(snapshotID{15, 1}))
		},
		"snapshots release segments": func(t *testing.T, d *driver) {
			for i := uint64(1); i <= 91; i += 10 {
				d.write(t, 1, i, i+9)
				must(t, d.snapshot(snapshotID{i + 5, 1}))
			}
		},
		"installed snapshot past the end": func(t *testing.T, d *driver) {
			d.write(t, 1, 1, 5)
			must(t, d.snapshot(snapshotID{50, 3}))
			d.write(t, 3, 51, 60)
		},
		"installed snapshot on another branch": func(t *testing.T, d *driver) {
			d.write(t, 1, 1, 2)
			d.entry(3, 1, "stale")
			d.entry(4, 1, "stale")
			must(t, d.sync())
			must(t, d.snapshot(snapshotID{3, 2}))
		},
		"snapshot that finished after a newer one": func(t *testing.T, d *driver) {
			d.write(t, 1, 1, 5)
			must(t, d.snapshot(snapshotID{50, 3}))
			d.pending.marker(snapshotID{4, 1})
			d.log.Append(nil, nil, meta(snapshotID{4, 1}))
			must(t, d.sync())
		},
	}
	for name, fill := range tests {
		t.Run(name, func(t *testing.T) {
			d := mustDriver(t)
			fill(t, d)
			d.restart(t)
			next := d.acked.last + 1
			d.write(t, 9, next, next+20)
			d.restart(t)
		})
	}
}

func TestCloseSyncsWhatIsBuffered(t *testing.T) {
	d := mustDriver(t)
	d.entry(1, 1, "a")
	if !d.log.Buffered() {
		t.Fatal("Buffered is false after Append")
	}
	must(t, d.log.Close())
	d.acked = d.pending.clone()
	must(t, d.reopen(d.fs, false))
	must(t, d.log.Close())
	if err := d.log.Sync(); !errors.Is(err, ErrClosed) {
		t.Fatalf("Sync after Close: %v", err)
	}
}

func TestOneSyncIsOneWriteAndOneSync(t *testing.T) {
	d := mustDriver(t)
	for i := uint64(1); i <= 5; i++ {
		d.entry(i, 1, "a")
	}
	d.hardState(1, 1, 0)
	var ops []string
	d.fs.Inject = func(op crashfs.Op, _ string) error { ops = append(ops, string(op)); return nil }
	must(t, d.sync())
	must(t, d.sync())
	if got := strings.Join(ops, " "); got != "write sync" {
		t.Fatalf("operations %q", got)
	}
}

func TestReleaseRemovesOnlyCoveredSegments(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 60)
	before := len(d.log.segments)
	if err := release(d.fs, d.log, 30); err == nil {
		t.Fatal("released entries that no snapshot covers")
	}
	must(t, d.snapshot(snapshotID{30, 1}))
	if len(d.log.segments) != before {
		t.Fatal("released entries while there is only one snapshot")
	}
	must(t, d.snapshot(snapshotID{40, 1}))
	after := len(d.log.segments)
	if after >= before || after < 2 {
		t.Fatalf("%d segments before, %d after", before, after)
	}
	if first := d.log.segments[0]; first.top <= 30 {
		t.Fatalf("the oldest segment left ends at entry %d", first.top)
	}
	d.restart(t)
	must(t, d.snapshot(snapshotID{60, 1}))
	must(t, release(d.fs, d.log, 60))
	if len(d.log.segments) != 1 {
		t.Fatalf("%d segments left, want the current one", len(d.log.segments))
	}
	d.restart(t)
}

// A crash between the removals of two segments leaves a log whose first segment
// does not contain the branch that a marker in it ended.
func TestReopenBetweenTwoRemovals(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 4)
	for i := uint64(5); i <= 9; i++ {
		d.entry(i, 1, "stale")
	}
	must(t, d.sync())
	d.entry(10, 1, strings.Repeat("x", 600)) // fills a segment of its own
	must(t, d.sync())
	must(t, d.snapshot(snapshotID{5, 2}))
	d.entry(6, 2, strings.Repeat("y", 600)) // fills another
	must(t, d.sync())
	d.write(t, 2, 7, 30)
	id := snapshotID{25, 2}
	must(t, d.snaps.Save(meta(id), bodyOf(id)))
	removed := 0
	for _, s := range d.log.segments[:len(d.log.segments)-1] {
		if s.top > id.index {
			break
		}
		must(t, d.fs.Remove(segmentName(s.seq)))
		removed++
		_, rec, err := Open(d.fs.Clone(), testOptions)
		must(t, err)
		must(t, d.acked.recovered(id).diff(rec))
	}
	if removed < 3 {
		t.Fatalf("only %d segments were removed", removed)
	}
}

func TestWhatOpenRefuses(t *testing.T) {
	filled := func(t *testing.T) *driver {
		d := mustDriver(t)
		for i := uint64(1); i <= 31; i += 10 {
			d.write(t, 1, i, i+9)
			must(t, d.snapshot(snapshotID{i + 9, 1}))
		}
		d.write(t, 1, 41, 60)
		must(t, d.log.Close())
		return d
	}
	removeSnapshots := func(d *driver) {
		for _, id := range d.saved {
			d.fs.Delete(id.name())
		}
	}
	tests := map[string]struct {
		damage func(d *driver)
		want   error
		says   string
	}{
		"empty directory":         {func(d *driver) { d.fs = crashfs.New() }, ErrNoLog, "no log"},
		"only a lock file":        {func(d *driver) { d.fs = crashfs.New(); d.fs.Put(LockName, nil) }, ErrNoLog, "no log"},
		"unfinished creation":     {func(d *driver) { d.fs = crashfs.New(); d.fs.Put(segmentName(1)+tempSuffix, nil) }, ErrNoLog, "no log"},
		"snapshots without a log": {func(d *driver) { d.removeSegments(0, len(d.log.segments)) }, ErrIncomplete, "no segment"},
		"a segment in the middle": {func(d *driver) { d.removeSegments(1, 2) }, ErrIncomplete, "is missing"},
		"the last segments":       {func(d *driver) { d.removeSegments(1, len(d.log.segments)); removeSnapshots(d) }, ErrIncomplete, "there is no readable snapshot"},
		"the first segments":      {func(d *driver) { d.removeSegments(0, len(d.log.segments)-1) }, ErrIncomplete, "the log begins at entry"},
		"all snapshots":           {removeSnapshots, ErrIncomplete, "there is no readable snapshot"},
		"segment of another member": {func(d *driver) {
			h := d.log.head
			h.identity.MemberID++
			d.fs.Put(segmentName(h.seq), h.encode())
		}, ErrForeign, "another cluster or member"},
		"snapshot of another cluster": {func(d *driver) {
			other := NewSnapshots(d.fs, Identity{ClusterID: 1})
			must(t, other.Save(meta(snapshotID{99, 9}), discardBody))
		}, ErrForeign, "another cluster or member"},
		"newer format": {func(d *driver) {
			name := segmentName(d.log.head.seq)
			patchVersion(d.fs.Content(name), headerSize-4)
		}, ErrVersion, "format version 2"},
		"newer snapshot format": {func(d *driver) {
			b := d.fs.Content(d.newest().name())
			patchVersion(b, snapshotHeaderSize+int(b[12]))
		}, ErrVersion, "format version 2"},
		"a stray segment name": {func(d *driver) { d.fs.Put("copy.wal", nil) }, nil, "not the name of a segment"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := filled(t)
			tt.damage(d)
			before := fmt.Sprint(d.fs.Contents())
			_, _, err := Open(d.fs, testOptions)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v, want one that says %q", err, tt.says)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if after := fmt.Sprint(d.fs.Contents()); after != before {
				t.Fatal("the refused directory was changed")
			}
		})
	}
}

// removeSegments deletes the log's segments from i up to, not including, j.
func (d *driver) removeSegments(i, j int) {
	for _, s := range d.log.segments[i:j] {
		d.fs.Delete(segmentName(s.seq))
	}
}

func TestCommitBeyondTheEndIsRefused(t *testing.T) {
	d := mustDriver(t)
	d.entry(1, 1, "a")
	d.hardState(1, 1, 2)
	must(t, d.sync())
	_, _, err := Open(d.fs, testOptions)
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "up to 2 were committed and the log ends at 1") {
		t.Fatal(err)
	}
}

func TestCreateRefusesWhatIsThere(t *testing.T) {
	d := mustDriver(t)
	if _, err := Create(d.fs, testID, 0, testOptions); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	only := crashfs.New()
	must(t, NewSnapshots(only, testID).Save(meta(snapshotID{1, 1}), discardBody))
	if _, err := Create(only, testID, 0, testOptions); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

func TestAppendThatCannotBeReplayedKillsTheLog(t *testing.T) {
	huge := make([]byte, maxPayload)
	tests := map[string]struct {
		entry *raftpb.Entry
		says  string
	}{
		"gap":       {&raftpb.Entry{Index: new(uint64(3)), Term: new(uint64(1))}, "entry 3 does not follow entry 1"},
		"index 0":   {&raftpb.Entry{Term: new(uint64(1))}, "entry 0 does not follow"},
		"too large": {&raftpb.Entry{Index: new(uint64(2)), Term: new(uint64(1)), Data: huge}, "over the limit"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := mustDriver(t)
			d.write(t, 1, 1, 1)
			d.log.Append(nil, []*raftpb.Entry{tt.entry}, nil)
			err := d.log.Sync()
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v, want %q", err, tt.says)
			}
			d.log.Append(&raftpb.HardState{Term: new(uint64(9))}, nil, nil)
			if again := d.log.Sync(); again != err {
				t.Fatalf("the dead log answered %v", again)
			}
			must(t, d.reopen(d.fs, false))
		})
	}
}

// A crash between Save and the marker leaves a snapshot that the log does not
// reach; entries that follow it must still be readable after a second restart.
func TestSnapshotWithoutMarker(t *testing.T) {
	for name, id := range map[string]snapshotID{"past the end": {50, 7}, "on another branch": {4, 7}} {
		t.Run(name, func(t *testing.T) {
			d := mustDriver(t)
			d.write(t, 1, 1, 3)
			d.entry(4, 1, "stale")
			d.entry(5, 1, "stale")
			must(t, d.sync())
			d.saving = id
			must(t, d.snaps.Save(meta(id), bodyOf(id)))
			must(t, d.reopen(d.fs.Clone(), true))
			if d.newest() != id || d.acked.last != id.index || d.acked.hs != (hardState{7, 0, id.index}) {
				t.Fatalf("recovered %v, %+v", d.newest(), d.acked)
			}
			d.write(t, 7, id.index+1, id.index+10)
			d.restart(t)
		})
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 3)
	d.fs.Put(segmentName(9)+tempSuffix, []byte{0})
	d.fs.Put(snapshotID{9, 9}.name()+tempSuffix, []byte(snapshotMagic[:3]))
	d.restart(t)
	names, err := d.fs.List()
	must(t, err)
	if got := strings.Join(names, " "); got != segmentName(1) {
		t.Fatalf("left: %s", got)
	}
}

func TestLockIsExclusive(t *testing.T) {
	fsys := crashfs.New()
	held, err := Lock(fsys)
	must(t, err)
	if _, err := Lock(fsys); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "another etcd is using") {
		t.Fatal(err)
	}
	must(t, held.Close())
	if _, err := Lock(fsys); err != nil {
		t.Fatal(err)
	}
}

func TestAJoiningMemberIsToldApartFromAFounder(t *testing.T) {
	for _, term := range []uint64{0, 7} {
		fsys := crashfs.New()
		l, err := Create(fsys, testID, term, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		_, rec, err := Open(fsys, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		if got := rec.HardState.GetTerm(); got != term {
			t.Errorf("before its first record the log is in term %d, want %d", got, term)
		}
	}
}
