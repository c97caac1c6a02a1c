package e2e

import (
	"io"
	"os"
	"syscall"
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

// takeSpace extends a file by the free space of its file system but for free bytes.
func takeSpace(f *os.File, free int64) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return err
	}
	if more := int64(st.Bavail)*st.Bsize - free; more > 0 {
		return syscall.Fallocate(int(f.Fd()), 0, size, more)
	}
	return nil
}
