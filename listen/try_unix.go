//go:build unix

package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"unsafe"

	"golang.org/x/sys/unix"
)

// tryRead reads from c if it can do so without waiting.
func tryRead(c net.Conn, p []byte) (n int, err error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, errWouldBlock
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	if waitErr := raw.Read(func(fd uintptr) bool {
		n, err = once("read", func() (int, error) { return rawCall(unix.SYS_READ, fd, p) })
		return true // whatever came of it: it does not wait
	}); waitErr != nil {
		return 0, waitErr
	}
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// tryWrite writes as much of p to c as it can without waiting.
func tryWrite(c net.Conn, p []byte) (n int, err error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, errWouldBlock
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	if waitErr := raw.Write(func(fd uintptr) bool {
		n, err = once("write", func() (int, error) { return rawCall(unix.SYS_WRITE, fd, p) })
		return true
	}); waitErr != nil {
		return 0, waitErr
	}
	return n, err
}

// once makes a call that does not wait, and again only if a signal has broken it off.
func once(name string, call func() (int, error)) (int, error) {
	for {
		n, err := call()
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, errWouldBlock
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError(name, err)
		}
	}
}

func rawCall(trap, fd uintptr, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
