package e2e

import (
	"os"
	"syscall"
	"testing"
)

// endsWithTest makes a process end with the test binary, however that ends.
func endsWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// canMount reports whether this process may mount a tmpfs: the kernel checks the privilege
// before the type of the file system.
func canMount() bool { return syscall.Mount("none", os.TempDir(), "nosuchfs", 0, "") != syscall.EPERM }

func mountTmpfs(path, options string) error { return syscall.Mount("tmpfs", path, "tmpfs", 0, options) }

func unmount(path string) error { return syscall.Unmount(path, 0) }

// detach unmounts a file system that may be in use, or unmounted already.
func detach(path string) { _ = syscall.Unmount(path, syscall.MNT_DETACH) }

// inMemory returns an empty data directory, where no disk makes writes slow if there is room.
func inMemory(t testing.TB) string {
	t.Helper()
	const tmpfs, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(tmpfs, &fs); err != nil || fs.Bavail < room/uint64(fs.Bsize) {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(tmpfs, "etcd-e2e-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
