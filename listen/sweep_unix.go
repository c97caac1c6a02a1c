//go:build unix

package listen

import (
	"net"
	"os"
	"syscall"
)

// sweep accepts the connections that the kernel has queued, and closes the listener
// immediately after, because the kernel would reset any that come in between.
func (l *listener) sweep() {
	raw, err := l.Listener.(socket).SyscallConn()
	if err != nil {
		return
	}
	var fds []int
	_ = raw.Control(func(fd uintptr) { // an error means that the listener is closed
		for {
			c, _, err := syscall.Accept(int(fd))
			if err != nil {
				break
			}
			fds = append(fds, c)
		}
	})
	_ = l.Close() // accepting ends either way
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "client")
		c, err := net.FileConn(file)
		_ = file.Close() // c has a copy
		if err == nil {
			l.swept = append(l.swept, c)
		}
	}
}
