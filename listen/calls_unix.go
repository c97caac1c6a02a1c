//go:build unix && !linux

package listen

import (
	"errors"

	"golang.org/x/sys/unix"
)

func readCall(fd uintptr, p []byte) (int, unix.Errno)  { return called(unix.Read(int(fd), p)) }
func writeCall(fd uintptr, p []byte) (int, unix.Errno) { return called(unix.Write(int(fd), p)) }

func called(n int, err error) (int, unix.Errno) {
	if errno, failed := errors.AsType[unix.Errno](err); failed {
		return 0, errno
	}
	return n, 0
}
