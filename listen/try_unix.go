//go:build unix

package listen

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptor makes calls on the descriptor of a connection that do not wait. There is one
// reader and one writer at a time.
type descriptor struct {
	raw         syscall.RawConn
	read, write attempt
}

// attempt is one call. It is kept with the connection because it is made for each request.
type attempt struct {
	do  func(fd uintptr) bool // for syscall.RawConn; always true: it does not wait
	p   []byte
	n   int
	err error
}

// newDescriptor returns nil if the connection has none.
func newDescriptor(c net.Conn) *descriptor {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	d := &descriptor{raw: raw}
	d.read.do = func(fd uintptr) bool { return d.read.once("read", readCall, fd) }
	d.write.do = func(fd uintptr) bool { return d.write.once("write", writeCall, fd) }
	return d
}

// tryRead reads if it can do so without waiting.
func (d *descriptor) tryRead(p []byte) (n int, err error) {
	if d == nil {
		return 0, errWouldBlock
	}
	if n, err = d.read.of(d.raw.Read, p); n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// tryWrite writes as much of p as it can without waiting.
func (d *descriptor) tryWrite(p []byte) (n int, err error) {
	if d == nil {
		return 0, errWouldBlock
	}
	return d.write.of(d.raw.Write, p)
}

func (a *attempt) of(with func(func(fd uintptr) bool) error, p []byte) (n int, err error) {
	a.p = p
	err = with(a.do)
	a.p = nil
	if err != nil {
		return 0, err
	}
	return a.n, a.err
}

// once makes the call, and again only if a signal has broken it off.
func (a *attempt) once(name string, call func(fd uintptr, p []byte) (int, unix.Errno), fd uintptr) bool {
	for {
		n, errno := call(fd, a.p)
		a.n, a.err = n, nil
		switch errno {
		case 0:
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			a.n, a.err = 0, errWouldBlock
			return true
		default:
			a.n, a.err = 0, os.NewSyscallError(name, errno)
			return true
		}
	}
}
