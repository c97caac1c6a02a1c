package wal

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd/wal/crashfs"
)

// A body that turns out to be invalid never gets a name under which a start would find it, and
// is removed at once; what a crash leaves of it is removed at the next start.
func TestARefusedSnapshotLeavesNothing(t *testing.T) {
	id, refused := snapshotID{50, 4}, errors.New("this is no state")
	d := mustDriver(t)
	d.write(t, 1, 1, 30)
	must(t, d.snapshot(snapshotID{20, 1}))
	before := slices.Collect(maps.Keys(d.fs.Contents()))
	slices.Sort(before)
	for n := 1; ; n++ {
		fsys := d.fs.Clone()
		failed := failNth(fsys, n)
		err := NewSnapshots(fsys, testID).Receive(meta(id), 5*maxChunk, func(w io.Writer) error {
			for range 5 {
				if _, err := w.Write(make([]byte, maxChunk)); err != nil {
					return err
				}
			}
			return refused
		})
		if err == nil || *failed == nil && !errors.Is(err, refused) {
			t.Fatalf("operation %d: %v", n, err)
		}
		for i, left := range append(survivors(fsys), fsys) {
			left.Inject = nil
			if left.Has(id.name()) {
				t.Fatalf("operation %d, survivor %d: it got its name", n, i)
			}
			log, rec, err := Open(left, testOptions)
			must(t, err)
			must(t, log.Close())
			if rec.Snapshot.GetIndex() != 20 || len(rec.BadSnapshots) > 0 {
				t.Fatalf("operation %d, survivor %d: a start takes %v, and passes over %v", n, i, rec.Snapshot, rec.BadSnapshots)
			}
			after := slices.Collect(maps.Keys(left.Contents()))
			slices.Sort(after)
			if !slices.Equal(after, before) {
				t.Fatalf("operation %d, survivor %d: left %v", n, i, after)
			}
		}
		if *failed == nil {
			names, err := fsys.List()
			must(t, err)
			if !slices.Equal(names, before) {
				t.Fatalf("left %v", names)
			}
			return
		}
	}
}

// A snapshot from another member leaves the log the space that it needs: one whose announced
// size does not fit is refused, and one that no longer fits is aborted.
func TestReceiveLeavesRoomForTheLog(t *testing.T) {
	const size = 64 << 20
	fsys := crashfs.New()
	fsys.Size = size
	s, id := NewSnapshots(fsys, testID), snapshotID{7, 3}
	none := func(io.Writer) error { t.Error("it was begun"); return nil }
	if err := s.Receive(meta(id), 1<<62, none); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than any disk has: %v", err)
	}
	for _, announced := range []int64{size, size - size/16 + 1} {
		if err := s.Receive(meta(id), announced, none); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the log needs") {
			t.Errorf("%d bytes on a disk of %d: %v", announced, size, err)
		}
	}
	must(t, receive(s, id, bytes.NewReader(body(id))))
	err := s.Receive(meta(snapshotID{8, 3}), 40<<20, func(w io.Writer) error {
		fsys.Put("of somebody else", make([]byte, 45<<20))
		_, err := io.CopyN(w, zeros{}, 40<<20)
		return err
	})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the log needs") {
		t.Errorf("the disk is filled meanwhile: %v", err)
	}
	if names, err := fsys.List(); err != nil || len(names) != 2 {
		t.Errorf("left %v, %v", names, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A file with valid checksums that cannot be restored is passed over like a damaged one; if
// there is no other, the start is refused and says what to do; one of a newer program is
// refused in any case.
func TestOpenPassesOverSnapshotsThatCannotBeRestored(t *testing.T) {
	d := mustDriver(t)
	d.write(t, 1, 1, 30)
	must(t, d.snapshot(snapshotID{20, 1}))
	must(t, d.snapshot(snapshotID{25, 1}))
	opts := testOptions
	var restored []string
	rejects := map[string]error{}
	opts.Restore = func(r io.Reader) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		restored = append(restored, string(b))
		return rejects[string(b)]
	}
	older, newer := string(body(snapshotID{20, 1})), string(body(snapshotID{25, 1}))

	rejects[newer] = ErrVersion
	before := d.fs.Contents()
	if _, _, err := Open(d.fs.Clone(), opts); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), snapshotID{25, 1}.name()) {
		t.Errorf("of a newer program: %v", err)
	}
	if !maps.Equal(before, d.fs.Contents()) {
		t.Error("the refused directory was changed")
	}

	rejects[newer] = errors.New("node 5: no node")
	left := d.fs.Clone()
	log, rec, err := Open(left, opts)
	must(t, err)
	must(t, log.Close())
	if rec.Snapshot.GetIndex() != 20 || rec.Entries[len(rec.Entries)-1].GetIndex() != 30 || restored[len(restored)-1] != older {
		t.Errorf("it starts from %v with %d entries", rec.Snapshot, len(rec.Entries))
	}
	if len(rec.BadSnapshots) != 1 || !strings.Contains(rec.BadSnapshots[0].Error(), "node 5: no node") || !left.Has(snapshotID{25, 1}.name()+badSuffix) {
		t.Errorf("passed over: %v", rec.BadSnapshots)
	}

	// Once the log begins after it there is no alternative.
	oldest, err := d.snaps.Prune(1, 30)
	must(t, err)
	must(t, release(d.fs, d.log, oldest))
	if d.log.segments[0].seq == 1 {
		t.Fatal("the log still begins at 1")
	}
	_, _, err = Open(d.fs.Clone(), opts)
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "node 5: no node") || !strings.Contains(err.Error(), remedy) {
		t.Errorf("without another one: %v", err)
	}
}
