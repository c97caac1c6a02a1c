package wal

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
)

// smallDisk returns a log with the default options on a disk with little space.
type smallDisk struct {
	fsys  *crashfs.Disk
	log   *Log
	snaps *Snapshots
	last  uint64
}

func newSmallDisk(t *testing.T, size int64) *smallDisk {
	t.Helper()
	fsys := crashfs.New()
	fsys.Size = size
	log, err := Create(fsys, testID, 0, Options{})
	must(t, err)
	return &smallDisk{fsys: fsys, log: log, snaps: NewSnapshots(fsys, testID)}
}

func (d *smallDisk) write(size int) error {
	d.last++
	d.log.Append(nil, []*raftpb.Entry{{Index: new(d.last), Term: new(uint64(1)), Data: make([]byte, size)}}, nil)
	return d.log.Sync()
}

func (d *smallDisk) snapshot(size int) error {
	id := snapshotID{d.last, 1}
	err := d.snaps.Save(meta(id), func(w io.Writer) error {
		_, err := w.Write(make([]byte, size))
		return err
	})
	if err != nil {
		return err
	}
	d.log.Append(nil, nil, meta(id))
	if err := d.log.Sync(); err != nil {
		return err
	}
	oldest, err := d.snaps.Prune(2, d.last)
	if err != nil {
		return err
	}
	return release(d.fsys, d.log, oldest)
}

// A disk smaller than a default segment suffices as long as snapshots make room, and with more
// space segments reach their default size.
func TestLogOnASmallDisk(t *testing.T) {
	d := newSmallDisk(t, 32<<20)
	for round := range 100 {
		for range 4 {
			must(t, d.write(500<<10))
		}
		must(t, d.snapshot(3<<20))
		if d.log.head.size > 4<<20 {
			t.Fatalf("round %d: a segment of %d bytes on a disk of 32 MiB", round, d.log.head.size)
		}
	}
	d.fsys.Size = 1 << 30
	for d.log.head.size < defaultSegmentSize {
		must(t, d.write(500<<10))
	}
	must(t, d.log.Close())
	d.fsys.Size = 0
	_, rec, err := Open(d.fsys, Options{})
	must(t, err)
	if last := rec.Snapshot.GetIndex() + uint64(len(rec.Entries)); last != d.last {
		t.Fatalf("entries up to %d of %d", last, d.last)
	}
}

func TestFullDiskIsReported(t *testing.T) {
	d := newSmallDisk(t, 32<<20)
	var err error
	for err == nil {
		err = d.write(500 << 10)
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "create segment") {
		t.Fatalf("the disk is full: %v", err)
	}
	whole := int(d.last - 1)
	if wrote := whole * 500 << 10; wrote < 28<<20 {
		t.Fatalf("it counts as full with %d of 32 MiB written", wrote>>20)
	}
	d.fsys.Size = 64 << 20
	if again := d.write(1); again != err {
		t.Fatalf("the dead log says %v", again)
	}
	left := d.fsys.Killed()
	left.Size = 64 << 20
	_, rec, err := Open(left, Options{})
	must(t, err)
	if len(rec.Entries) < whole {
		t.Fatalf("%d entries of %d", len(rec.Entries), whole)
	}
}
