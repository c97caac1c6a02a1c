package e2e

import (
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
