package vfs

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const lockHolderVar = "VFS_TEST_HOLD_LOCK_IN"

// TestMain lets the test binary act as a second server that holds a lock
// until its standard input ends.
func TestMain(m *testing.M) {
	if dir := os.Getenv(lockHolderVar); dir != "" {
		holdLock(dir)
		return
	}
	os.Exit(m.Run())
}

func holdLock(dir string) {
	fsys, err := Dir(dir)
	if err == nil {
		_, err = fsys.Lock("lock")
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString("locked\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestDirErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	fsys, err := Dir(dir)
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
	if _, err := Dir(filepath.Join(dir, "file", "below")); err == nil {
		t.Error("a directory below a file")
	}
	if _, err := Dir(filepath.Join(dir, "file")); err == nil {
		t.Error("a file as the directory")
	}
}

func TestDirAllocateKeepsContent(t *testing.T) {
	fsys, err := Dir(filepath.Join(t.TempDir(), "data"))
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
		_, err = f.ReadAt(b, 0)
		must(t, err)
		if size, err := f.Size(); size != 1000 || err != nil || strings.TrimRight(string(b), "\x00") != "content" {
			t.Fatalf("%s: %d bytes, %v, %q", name, size, err, b)
		}
		must(t, f.Close())
	}
}

func TestDirLockInOneProcess(t *testing.T) {
	fsys, err := Dir(filepath.Join(t.TempDir(), "data"))
	must(t, err)
	held, err := fsys.Lock("lock")
	must(t, err)
	if _, err := fsys.Lock("lock"); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	must(t, held.Close())
	held, err = fsys.Lock("lock")
	must(t, err)
	must(t, held.Close())
}

func TestDirLockAcrossProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
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
	fsys, err := Dir(dir)
	must(t, err)
	if _, err := fsys.Lock("lock"); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
	must(t, in.Close())
	must(t, other.Wait())
	held, err := fsys.Lock("lock")
	must(t, err)
	must(t, held.Close())
}
