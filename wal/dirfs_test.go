package wal

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

const lockHolderVar = "WAL_TEST_HOLD_LOCK_IN"

// TestMain lets the test binary stand in for a second server that holds a lock
// until its standard input ends.
func TestMain(m *testing.M) {
	if dir := os.Getenv(lockHolderVar); dir != "" {
		holdLock(dir)
		return
	}
	os.Exit(m.Run())
}

func holdLock(dir string) {
	fsys, err := DirFS(dir)
	if err == nil {
		_, err = Lock(fsys)
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString("locked\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestDirFSLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	fsys, err := DirFS(dir)
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
		release, err := snaps.Prune(2)
		must(t, err)
		must(t, log.Release(release))
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

func TestDirFSErrors(t *testing.T) {
	dir := t.TempDir()
	fsys, err := DirFS(dir)
	must(t, err)
	if _, err := fsys.Open("absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := fsys.Remove("absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	f, err := fsys.Create("file")
	must(t, err)
	must(t, f.Close())
	if _, err := fsys.Create("file"); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if _, err := DirFS(filepath.Join(dir, "file", "below")); err == nil {
		t.Error("a directory below a file")
	}
	if _, err := DirFS(filepath.Join(dir, "file")); err == nil {
		t.Error("a file as the directory")
	}
}

func TestDirFSAllocateKeepsContent(t *testing.T) {
	fsys, err := DirFS(t.TempDir())
	must(t, err)
	for name, allocate := range map[string]func(osFile, int64) error{"reserving": osFile.Allocate, "extending": osFile.extend} {
		f, err := fsys.Create(name)
		must(t, err)
		_, err = f.WriteAt([]byte("content"), 0)
		must(t, err)
		must(t, allocate(f.(osFile), 5))
		must(t, allocate(f.(osFile), 1000))
		must(t, f.Sync())
		b := make([]byte, 1000)
		must(t, readFull(f, b, 0))
		if size, err := f.Size(); size != 1000 || err != nil || strings.TrimRight(string(b), "\x00") != "content" {
			t.Fatalf("%s: %d bytes, %v, %q", name, size, err, b)
		}
		must(t, f.Close())
	}
}

func TestDirFSLockInOneProcess(t *testing.T) {
	fsys, err := DirFS(t.TempDir())
	must(t, err)
	held, err := Lock(fsys)
	must(t, err)
	if _, err := Lock(fsys); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	must(t, held.Close())
	held, err = Lock(fsys)
	must(t, err)
	must(t, held.Close())
}

func TestDirFSLockAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockHolderVar+"="+dir)
	in, err := other.StdinPipe()
	must(t, err)
	out, err := other.StdoutPipe()
	must(t, err)
	must(t, other.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	if line != "locked\n" {
		t.Fatalf("the other process said %q", line)
	}
	fsys, err := DirFS(dir)
	must(t, err)
	if _, err := Lock(fsys); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
	must(t, in.Close())
	must(t, other.Wait())
	held, err := Lock(fsys)
	must(t, err)
	must(t, held.Close())
}
