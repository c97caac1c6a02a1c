package listen

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls on sockets that do not wait take microseconds. The scheduler need not know of them: what it
// does around a call that may take long would take as long again.

func readCall(fd uintptr, p []byte) (int, unix.Errno)  { return rawCall(unix.SYS_READ, fd, p) }
func writeCall(fd uintptr, p []byte) (int, unix.Errno) { return rawCall(unix.SYS_WRITE, fd, p) }

func rawCall(trap, fd uintptr, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
