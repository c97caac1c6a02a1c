//go:build unix

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDirFollowsNothing plants something other than a regular file at a name in a directory.
// It may not be followed or block, and only the planted name itself may be removed.
func TestDirFollowsNothing(t *testing.T) {
	for what, plant := range map[string]func(victim, path string) error{
		"a symbolic link": os.Symlink,
		"a hard link":     os.Link,
		"a directory":     func(_, path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":          func(_, path string) error { return unix.Mkfifo(path, 0o600) },
		"a socket":        func(_, path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
	} {
		for _, makeFS := range []func(string) (FS, error){Dir, SharedDir} {
			above := t.TempDir()
			victim, path := filepath.Join(above, "victim"), filepath.Join(above, "data")
			must(t, os.WriteFile(victim, []byte("precious"), 0o600))
			fsys, err := makeFS(path)
			must(t, err)
			must(t, plant(victim, filepath.Join(path, "name")))
			if _, err := fsys.Open("name"); err == nil || !strings.Contains(err.Error(), what) && !strings.Contains(err.Error(), "hard link") {
				t.Errorf("open %s: %v", what, err)
			}
			if _, err := fsys.Lock("name"); err == nil || errors.Is(err, ErrLocked) {
				t.Errorf("lock %s: %v", what, err)
			}
			if _, err := fsys.Create("name"); err == nil {
				t.Errorf("create over %s", what)
			}
			if err := fsys.Remove("name"); (err != nil) != (what == "a directory") {
				t.Errorf("remove %s: %v", what, err)
			}
			if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
				t.Errorf("%s was followed: %q, %v", what, got, err)
			}
		}
	}
}

// A link that replaces the directory while it is in use changes nothing.
func TestDirThatIsReplaced(t *testing.T) {
	above := t.TempDir()
	path, moved, trap := filepath.Join(above, "data"), filepath.Join(above, "moved"), filepath.Join(above, "trap")
	fsys, err := Dir(path)
	must(t, err)
	must(t, errors.Join(os.Rename(path, moved), os.Mkdir(trap, 0o700), os.Symlink(trap, path)))
	f, err := fsys.Create("a")
	must(t, err)
	must(t, errors.Join(f.Close(), fsys.Rename("a", "b"), fsys.SyncDir()))
	if names, err := fsys.List(); err != nil || len(names) != 1 || names[0] != "b" {
		t.Errorf("%v, %v", names, err)
	}
	if left, err := os.ReadDir(trap); err != nil || len(left) > 0 {
		t.Errorf("it went to %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(moved, "b")); err != nil {
		t.Error(err)
	}
}

func TestIsFull(t *testing.T) {
	for err, want := range map[error]bool{
		unix.ENOSPC: true, unix.EDQUOT: true, unix.EIO: false, fs.ErrNotExist: false,
	} {
		if got := IsFull(&fs.PathError{Op: "write", Path: "a", Err: err}); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
