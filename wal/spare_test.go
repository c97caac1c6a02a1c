package wal

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"etcd/wal/crashfs"
)

// A log with a spare creates no file when it begins its next segment: it syncs the first
// record together with the header, and then the name.
func TestASpareBecomesTheNextSegment(t *testing.T) {
	d := mustDriver(t)
	must(t, d.spare())
	next := uint64(1)
	var ops []string
	for len(d.log.segments) == 1 {
		ops = nil
		d.fs.Inject = func(op crashfs.Op, _ string) error { ops = append(ops, string(op)); return nil }
		d.write(t, 1, next, next)
		next++
	}
	if got, want := strings.Join(ops, " "), "write write sync rename syncdir"; got != want {
		t.Fatalf("operations %q, want %q", got, want)
	}
	d.fs.Inject = nil
	d.write(t, 1, next, next+20)
	d.restart(t)
}

// A spare is wanted once half of a segment is used, once for each segment, and not while there
// is one or one is being prepared.
func TestWhenASpareIsWanted(t *testing.T) {
	d := mustDriver(t)
	if d.log.WantsSpare() {
		t.Fatal("wanted for an empty segment")
	}
	wanted := func(next uint64) uint64 {
		for n := range uint64(100) {
			if d.log.WantsSpare() {
				return next + n
			}
			d.write(t, 1, next+n, next+n)
		}
		t.Fatal("never wanted")
		return 0
	}
	next := wanted(1)
	if d.log.offset < d.log.head.size/2 {
		t.Fatalf("wanted at offset %d of %d", d.log.offset, d.log.head.size)
	}
	d.write(t, 1, next, next+30)
	next += 31
	if d.log.WantsSpare() {
		t.Fatal("wanted again while one is being made")
	}
	d.log.TakeSpare(nil) // no space
	next = wanted(next)
	must(t, d.spare())
	if d.log.WantsSpare() {
		t.Fatal("wanted although there is one")
	}
	seq := d.log.head.seq
	wanted(next)
	if d.log.head.seq == seq {
		t.Fatal("wanted again in the same segment")
	}
}

// A record that does not fit into the spare gets a new segment, and the spare is kept.
func TestASpareThatIsTooSmall(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 2)
	must(t, d.spare())
	d.entry(3, 1, strings.Repeat("x", 3000))
	must(t, d.sync())
	if d.log.spare == nil {
		t.Fatal("the spare is gone")
	}
	d.write(t, 1, 4, 9)
	if d.log.spare != nil {
		t.Fatal("the spare is not used")
	}
	d.restart(t)
}

func TestASpareNeedsSpace(t *testing.T) {
	d := mustDriver(t)
	d.fs.Size = 600
	if s, err := NewSpare(d.fs, testOptions); s != nil || err != nil {
		t.Fatalf("got %v, %v", s, err)
	}
	if d.fs.Has(spareName) {
		t.Fatal("something is left of it")
	}
}

// A leftover spare, complete, incomplete or with its first record, is not part of the log.
func TestAnUnusedSpare(t *testing.T) {
	for n := 1; ; n++ {
		d := mustDriver(t)
		d.write(t, 1, 1, 3)
		failed := failNth(d.fs, n)
		err := d.spare()
		for err == nil && *failed == nil && len(d.log.segments) == 1 {
			d.entry(d.acked.last+1, 1, "of the next segment, in the end")
			err = d.sync()
		}
		d.fs.Inject = nil
		for i, left := range survivors(d.fs) {
			after := *d
			must(t, after.reopen(left, true))
			if left.Has(spareName) {
				t.Fatalf("survivor %d: the spare is still there", i)
			}
			after.write(t, 9, after.acked.last+1, after.acked.last+9)
			after.restart(t)
		}
		if *failed == nil {
			return
		}
	}
}

// Released segments are removed one after another, so that a power cut leaves no gap, and may
// be removed while the log is written.
func TestRemovalEndsInTheMiddle(t *testing.T) {
	d := mustDriver(t)
	d.lazy = true
	d.write(t, 1, 1, 60)
	must(t, d.snapshot(snapshotID{40, 1}))
	must(t, d.snapshot(snapshotID{50, 1}))
	if len(d.released) < 3 {
		t.Fatalf("only %d segments are released", len(d.released))
	}
	if err := d.readBack(1, 100); err != nil { // released, though not removed yet
		t.Fatal(err)
	}
	for len(d.released) > 0 {
		before := slices.Clone(d.released)
		must(t, d.remove(1))
		d.write(t, 1, d.acked.last+1, d.acked.last+2)
		for i, left := range survivors(d.fs) {
			after := *d
			if err := after.reopen(left, false); err != nil {
				t.Fatalf("removed one of %v, survivor %d: %v", before, i, err)
			}
		}
	}
}

// An extent can be read while the log is written: it still has what was overwritten in the
// log, and reports what was removed.
func TestAnExtentWhileTheLogIsWritten(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 30)
	old := d.acked.clone()
	x, ok := d.log.Extent(20)
	if !ok {
		t.Fatal("entry 20 is not there")
	}
	d.entry(25, 2, "another branch")
	must(t, d.sync())
	entries, err := x.Read(d.fs, 1<<20)
	must(t, err)
	for i, e := range entries {
		if want := old.entries[20+uint64(i)]; e.GetTerm() != want.term || string(e.GetData()) != want.data {
			t.Fatalf("entry %d is %v, want %+v", e.GetIndex(), e, want)
		}
	}
	for index := uint64(1); index <= 25; index++ {
		if err := d.readBack(index, 200); err != nil {
			t.Fatal(err)
		}
	}
	x, _ = d.log.Extent(1)
	must(t, RemoveSegments(d.fs, Released{1}))
	if _, err := x.Read(d.fs, 1<<20); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a segment that was removed: error %v", err)
	}
	x, _ = d.log.Extent(20)
	name := segmentName(x.places[0].seq)
	d.fs.Content(name)[x.places[0].offset+recordHeaderSize+5] ^= 1
	if _, err := x.Read(d.fs, 1<<20); !errors.As(err, new(*CorruptError)) {
		t.Fatalf("a record that was damaged: error %v", err)
	}
}

// Open returns no more entries than it may keep in memory, and where to find the others.
func TestOpenKeepsTheNewestEntries(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 60)
	must(t, d.log.Close())
	opts := testOptions
	opts.Keep = 10 * (entryOverhead + 20)
	log, rec, err := Open(d.fs, opts)
	must(t, err)
	if n := len(rec.Entries); n == 0 || n > 10 || rec.Entries[n-1].GetIndex() != 60 {
		t.Fatalf("%d entries", n)
	}
	if rec.First != 1 {
		t.Fatalf("the log begins at %d", rec.First)
	}
	must(t, known(rec, log))
}
