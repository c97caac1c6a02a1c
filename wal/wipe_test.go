package wal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etcd/wal/vfs"
)

func TestWipeRemovesOnlyItsOwnFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
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
	left := map[string]string{"config.json": "x", "a.wallet": "x", "b.wal.tmp": "x", "c.snap.bad": "x", "received-d.snap.tmp": "x"}
	for name, content := range left {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "backup.wal"), 0o700))
	for name, content := range map[string]string{
		"0000000000000001-0000000000000002.snap.bad": snapshotMagic, "0000000000000009.wal.tmp": "\x00\x00\x00",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	// Whatever other file is in the way, nothing is deleted.
	for name, content := range map[string]string{
		"notes.wal": "precious", "photos.snap": "precious", "0000000000000002.wal": "precious",
		"0000000000000003-0000000000000003.snap": "precious", "0000000000000003.wal.tmp": "precious", "old.wal": segmentMagic,
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		before, err := fsys.List()
		must(t, err)
		if _, err := Wipe(fsys); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with %s: %v", name, err)
		}
		if _, _, err := Open(fsys, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("opened with %s: %v", name, err)
		}
		if after, err := fsys.List(); err != nil || !slices.Equal(after, before) {
			t.Errorf("with %s: %v are left of %v, %v", name, after, before, err)
		}
		must(t, os.Remove(path))
	}

	removed, err := Wipe(fsys)
	if err != nil || removed != 3 {
		t.Fatalf("Wipe: %d files, %v; want 3 files", removed, err)
	}
	if _, _, err := Open(fsys, Options{}); !errors.Is(err, ErrNoLog) {
		t.Fatalf("Open after Wipe: %v, want ErrNoLog", err)
	}
	for name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a file of somebody else is gone: %v", err)
		}
	}
}

// Names are matched to the last digit: a file whose name only resembles ours is not ours.
func TestOwnNames(t *testing.T) {
	for name, want := range map[string]kind{
		"0000000000000001.wal":                                 segmentFile,
		"00000000000000ff.wal":                                 segmentFile,
		"00000000000000FF.wal":                                 strayFile,
		"1.wal":                                                strayFile,
		"0000000000000001.wal.tmp":                             temporaryFile,
		"0000000000000001.wal.new":                             newSegmentFile,
		"0000000000000001.wal.new.tmp":                         temporaryFile,
		"0000000000000001.wal.tmp.tmp":                         otherFile,
		"0000000000000001.wal.bad":                             otherFile,
		"x.wal.tmp":                                            otherFile,
		"x.wal.new":                                            otherFile,
		"a.wallet":                                             otherFile,
		"0000000000000001":                                     otherFile,
		"0000000000000001-0000000000000002.snap":               snapshotFile,
		"0000000000000001-0000000000000002.snap.tmp":           temporaryFile,
		"0000000000000001-0000000000000002.snap.new":           newSnapshotFile,
		"0000000000000001-0000000000000002.snap.bad":           badSnapshotFile,
		"0000000000000001-0000000000000002.snap.new.tmp":       temporaryFile,
		"0000000000000001-0000000000000002":                    otherFile,
		"0000000000000001-0000000000000002.wal":                strayFile,
		"received-0000000000000001-0000000000000002.snap.tmp":  temporaryFile,
		"received-0000000000000001-0000000000000002.snap":      strayFile,
		"received-0000000000000001.wal.tmp":                    otherFile,
		"received-received-0000000000000001-00000002.snap.tmp": otherFile,
		"photos.snap":                                          strayFile,
		"photos.snap.bad":                                      otherFile,
		"lock":                                                 otherFile,
		"lost+found":                                           otherFile,
	} {
		if got := kindOf(name); got != want {
			t.Errorf("%s is of kind %d, want %d", name, got, want)
		}
	}
}

// A file that was damaged, or torn at its creation, is told apart from those of other programs.
func TestResembles(t *testing.T) {
	for head, want := range map[string]bool{
		"": true, "etc": true, "etcdwal\n": true, "etcdwal\n and more": true, "etCdwal\n": true,
		"\x00\x00\x00\x00\x00\x00\x00\x00": true, "\x00t\x00\x00\x00\x00\x00\x00": true,
		"hello wo": false, "x": false, "\x04\x00\x00\x00\x00\x00\x00\x84": false, "\x08\x9a\x88\x8b\xfe\x09\x12\x9c": false,
	} {
		if got := Resembles([]byte(head), segmentMagic); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
}
