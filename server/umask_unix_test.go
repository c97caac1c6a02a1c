//go:build unix

package server

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestUmask checks the modes of created files and directories, which no umask may widen.
func TestUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	above := t.TempDir()
	if err := os.Chmod(above, 0o700); err != nil { // t.TempDir obeys the umask, too
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(above), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := takeAll(t, filepath.Join(above, "a", "b"), false); err != nil {
		t.Fatal(err)
	}
	for name := range contents(t, filepath.Join(above, "a")) {
		info, err := os.Lstat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
