package wal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"etcd/wal/vfs"
)

func TestWipeRemovesOnlyItsOwnFiles(t *testing.T) {
	dir := t.TempDir()
	fsys, err := vfs.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Create(fsys, Identity{ClusterID: 1, MemberID: 2}, 0, Options{SegmentSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0000000000000001-0000000000000002.snap.bad", "0000000000000009.wal.tmp", "config.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	lock, err := Lock(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Wipe(fsys); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("wiping a directory in use: %v, want ErrLocked", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}

	removed, err := Wipe(fsys)
	if err != nil || removed != 3 {
		t.Fatalf("Wipe: %d files, %v; want 3 files", removed, err)
	}
	if _, _, err := Open(fsys, Options{}); !errors.Is(err, ErrNoLog) {
		t.Fatalf("Open after Wipe: %v, want ErrNoLog", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		t.Fatalf("a file of somebody else is gone: %v", err)
	}
}
