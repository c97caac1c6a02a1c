package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
)

// outcome is what Open may do with a damaged directory, by the table in
// docs/storage-format.md.
type outcome int

const (
	intact  outcome = iota // everything is there and nothing is reported
	cutOff                 // everything is there, and Torn reports the truncated bytes
	lastCut                // only the last batch is truncated, and Torn reports it
	refused                // a *CorruptError names the file
)

func (o outcome) String() string {
	return [...]string{"intact", "cut off", "last batch cut off", "refused"}[o]
}

// check opens the damaged directory and checks the outcome.
func (o outcome) check(fsys *crashfs.Disk, file string, all, butLast model) error {
	before := fmt.Sprint(fsys.Contents())
	log, rec, err := Open(fsys, testOptions)
	if o == refused {
		corrupt, ok := errors.AsType[*CorruptError](err)
		if !ok || corrupt.File != file {
			return fmt.Errorf("want a refusal of %s, got %v", file, err)
		}
		if fmt.Sprint(fsys.Contents()) != before {
			return errors.New("the refused directory was changed")
		}
		return nil
	}
	if err != nil {
		return err
	}
	if (rec.Torn != nil) != (o != intact) {
		return fmt.Errorf("torn tail %v", rec.Torn)
	}
	if rec.Torn != nil && (rec.Torn.File != file || rec.Torn.Bytes <= 0) {
		return fmt.Errorf("torn tail %v", rec.Torn)
	}
	want := all
	if o == lastCut {
		want = butLast
	}
	if err := want.diff(rec); err != nil {
		return err
	}
	// The repair is durable: a second start has nothing to repair.
	if err := log.Close(); err != nil {
		return err
	}
	log, rec, err = Open(fsys, testOptions)
	if err != nil || rec.Torn != nil {
		return fmt.Errorf("opened again: torn tail %v, error %v", rec.Torn, err)
	}
	return errors.Join(want.diff(rec), log.Close())
}

// smallLog fills two segments with a few records and returns the model with
// and without the last batch, and the offset of that batch in the last one.
func smallLog(t *testing.T) (d *driver, all, butLast model, lastRecord int) {
	d = mustDriver(t)
	for i := uint64(1); len(d.log.segments) < 2 || d.log.offset < 2*headerSize; i++ {
		d.write(t, 1, i, i)
	}
	butLast, lastRecord = d.acked.clone(), int(d.log.offset)
	d.write(t, 2, d.acked.last+1, d.acked.last+1)
	if int64(lastRecord) >= d.log.offset || d.log.offset+64 > d.log.head.size {
		t.Fatal("the last segment should end in a whole record and zeros")
	}
	return d, d.acked, butLast, lastRecord
}

// recordsEnd is the offset at which the records of a sealed segment end, if the
// last one does not end in zeros.
func recordsEnd(data []byte) int {
	end := len(data)
	for data[end-1] == 0 {
		end--
	}
	return (end + recordAlign - 1) &^ (recordAlign - 1)
}

var patterns = []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x55}

func TestFlipOfEveryByte(t *testing.T) {
	d, all, butLast, lastRecord := smallLog(t)
	sealed, current := segmentName(1), segmentName(2)
	for _, file := range []string{sealed, current} {
		for off := range d.fs.Content(file) {
			want := refused
			switch {
			case file == sealed && off >= recordsEnd(d.fs.Content(sealed)):
				want = intact
			case file == current && off >= int(d.log.offset):
				want = cutOff
			case file == current && off >= lastRecord:
				want = lastCut
			}
			for _, pattern := range patterns {
				fsys := d.fs.Clone()
				fsys.Content(file)[off] ^= pattern
				if err := want.check(fsys, file, all, butLast); err != nil {
					t.Fatalf("%s, byte %d ^ %#x: want %v: %v", file, off, pattern, want, err)
				}
			}
		}
	}
}

func TestTruncationAtEveryOffset(t *testing.T) {
	d, all, butLast, _ := smallLog(t)
	sealed, current := segmentName(1), segmentName(2)
	for _, file := range []string{sealed, current} {
		data := d.fs.Content(file)
		for size := range data {
			want := refused
			if file == sealed && size >= recordsEnd(data) || file == current && size >= int(d.log.offset)+recordAlign {
				want = intact
			}
			fsys := d.fs.Clone()
			fsys.Put(file, data[:size])
			if err := want.check(fsys, file, all, butLast); err != nil {
				t.Fatalf("%s cut to %d bytes: want %v: %v", file, size, want, err)
			}
		}
	}
}

// A write that reached the disk in part, with its blocks in any order, costs
// the last batch and nothing else.
func TestTornWriteOfEveryBlock(t *testing.T) {
	d, _, butLast, lastRecord := smallLog(t)
	d.fs.Put("whole", d.fs.Content(segmentName(2)))
	whole := d.fs.Content("whole")
	end := int(d.log.offset)
	for _, block := range []int{1, 8, 16} {
		for off := lastRecord; off < end; off += block {
			lost := whole[off:min(off+block, end)]
			if !slices.ContainsFunc(lost, func(b byte) bool { return b != 0 }) {
				continue
			}
			fsys := d.fs.Clone()
			clear(fsys.Content(segmentName(2))[off:min(off+block, end)])
			if err := lastCut.check(fsys, segmentName(2), butLast, butLast); err != nil {
				t.Fatalf("block of %d bytes at %d missing: %v", block, off, err)
			}
		}
	}
}

// Bytes stored by a client that look like records must not turn a torn tail
// into a refusal.
func TestStoredSegmentIsNotMistakenForRecords(t *testing.T) {
	d, _, _, _ := smallLog(t)
	inner := d.fs.Content(segmentName(2))
	for shift := range recordAlign {
		d.entry(d.acked.last+1, 2, strings.Repeat("-", shift)+string(inner))
		before := d.acked
		must(t, d.sync())
		name, at := segmentName(d.log.head.seq), d.log.offset-int64(recordSize(entryHeaderSize+shift+len(inner)))
		fsys := d.fs.Clone()
		clear(fsys.Content(name)[at : at+recordHeaderSize]) // the beginning did not reach the disk
		if err := lastCut.check(fsys, name, before, before); err != nil {
			t.Fatalf("shifted by %d: %v", shift, err)
		}
	}
}

func TestTornTailReportsWhatWasTruncated(t *testing.T) {
	d := mustDriver(t)
	copy(d.fs.Content(segmentName(1))[headerSize:], "unfinished")
	_, rec, err := Open(d.fs, testOptions)
	must(t, err)
	want := "cut off 10 bytes of an unfinished write at offset 96 of 0000000000000001.wal"
	if got := rec.Torn.String(); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// A record with a valid checksum and invalid content was not damaged on disk;
// it is refused all the same.
func TestValidRecordWithBadItems(t *testing.T) {
	tests := map[string]struct {
		payload []byte
		says    string
	}{
		"unknown kind":       {[]byte{9}, "unknown kind 9"},
		"short hard state":   {[]byte{itemHardState, 1}, "ends early"},
		"short marker":       {[]byte{itemSnapshot, 1}, "ends early"},
		"short entry":        {[]byte{itemEntry, 1}, "ends early"},
		"entry leaves a gap": {appendEntry(nil, &raftpb.Entry{Index: new(uint64(5))}), "entry 5 does not follow entry 0"},
		"entry data beyond the end": {
			appendEntry(nil, &raftpb.Entry{Index: new(uint64(1)), Data: []byte("data")})[:entryHeaderSize+3], "ends early",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := mustDriver(t)
			record, _ := sealRecord(append(make([]byte, recordHeaderSize), tt.payload...), d.log.head.crc, d.log.chain, headerSize)
			copy(d.fs.Content(segmentName(1))[headerSize:], record)
			_, _, err := Open(d.fs, testOptions)
			corrupt, ok := errors.AsType[*CorruptError](err)
			if !ok || corrupt.Offset != headerSize || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), remedy) {
				t.Fatalf("error %v, want one that says %q and what to do", err, tt.says)
			}
		})
	}
}

func TestDamagedNewestSnapshotCostsNothing(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 20)
	must(t, d.snapshot(snapshotID{10, 1}))
	must(t, d.snapshot(snapshotID{15, 1}))
	d.write(t, 1, 21, 30)
	newest, want := d.newest().name(), d.acked.recovered(snapshotID{10, 1})
	data := d.fs.Content(newest)
	check := func(what string, at int, damaged []byte) {
		t.Helper()
		fsys := d.fs.Clone()
		fsys.Put(newest, damaged)
		log, rec, err := Open(fsys, testOptions)
		if err == nil {
			err = errors.Join(want.diff(rec), log.Close())
		}
		if err != nil || len(rec.BadSnapshots) != 1 || !strings.Contains(rec.BadSnapshots[0].Error(), newest) {
			t.Fatalf("%s at %d: %v, passed over %v", what, at, err, rec.BadSnapshots)
		}
		if fsys.Has(newest) || !fsys.Has(newest+badSuffix) {
			t.Fatalf("%s at %d: the damaged file was not set aside", what, at)
		}
	}
	for off := range data {
		check("cut", off, data[:off])
		for _, pattern := range patterns {
			damaged := slices.Clone(data)
			damaged[off] ^= pattern
			check("flip", off, damaged)
		}
	}
	check("trailing byte", len(data), append(slices.Clone(data), 0))

	// Renamed, it does not count as one of the two that Prune keeps.
	fsys := d.fs.Clone()
	fsys.Content(newest)[0] ^= 1
	d.saved = d.saved[:1]
	must(t, d.reopen(fsys, false))
	must(t, d.snapshot(snapshotID{25, 1}))
	fsys.Content(d.newest().name())[0] ^= 1
	d.saved = d.saved[:1]
	must(t, d.reopen(fsys, false))
}

func TestDamagedOnlySnapshotIsRefused(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 5)
	must(t, d.snapshot(snapshotID{50, 2}))
	name := d.newest().name()
	d.fs.Content(name)[60] ^= 1
	_, _, err := Open(d.fs, testOptions)
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), name) {
		t.Fatal(err)
	}
	if !d.fs.Has(name) {
		t.Fatal("the refused directory was changed")
	}
}

func TestDamagedSnapshotBodyNeverEndsCleanly(t *testing.T) {
	fsys := crashfs.New()
	s, id := NewSnapshots(fsys, testID), snapshotID{7, 3}
	must(t, s.Save(meta(id), bodyOf(id)))
	for off := range fsys.Content(id.name()) {
		c := fsys.Clone()
		c.Content(id.name())[off] ^= 0x10
		if _, err := readSnapshot(c, id); err == nil {
			t.Fatalf("flip at %d went unnoticed", off)
		}
	}
}
