package wal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/vfs"
)

func TestRealDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	fsys, err := vfs.Dir(dir)
	must(t, err)
	if _, _, err := Open(fsys, Options{}); !errors.Is(err, ErrNoLog) {
		t.Fatal(err)
	}
	log, err := Create(fsys, testID, 0, Options{SegmentSize: 4096})
	must(t, err)
	snaps := NewSnapshots(fsys, testID)
	for i := uint64(1); i <= 100; i++ {
		log.Append(&raftpb.HardState{Term: new(uint64(1)), Commit: new(i)},
			[]*raftpb.Entry{{Index: new(i), Term: new(uint64(1)), Data: make([]byte, 200)}}, nil)
		must(t, log.Sync())
		if i%30 != 0 {
			continue
		}
		id := snapshotID{i, 1}
		must(t, snaps.Save(meta(id), bodyOf(id)))
		log.Append(nil, nil, meta(id))
		must(t, log.Sync())
		oldest, err := snaps.Prune(2, i)
		must(t, err)
		must(t, release(fsys, log, oldest))
	}
	must(t, log.Close())

	info, err := os.Stat(dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Fatalf("directory mode %v", info.Mode())
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Fatalf("%s has mode %v", f.Name(), info.Mode())
		}
		if strings.HasSuffix(f.Name(), segmentSuffix) && info.Size() != 4096 {
			t.Fatalf("%s has %d bytes", f.Name(), info.Size())
		}
	}

	log, rec, err := Open(fsys, Options{})
	must(t, err)
	must(t, log.Close())
	if rec.Snapshot.GetIndex() != 90 || len(rec.Entries) != 10 || rec.HardState.GetCommit() != 100 || rec.Torn != nil {
		t.Fatalf("recovered %v", rec)
	}
	if b, err := readSnapshot(fsys, snapshotID{60, 1}); err != nil || string(b) != string(body(snapshotID{60, 1})) {
		t.Fatalf("body %q, %v", b, err)
	}
}
