package listen

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LimitSilence has the system end the connection, as if its client had done so, when something was
// sent and the client's side has neither acknowledged nor taken any of it for a time. Without that it
// goes on trying for a quarter of an hour.
func (c *Conn) LimitSilence(limit time.Duration) error {
	s, ok := rawConn(c.Conn).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds())))
	})
	return errors.Join(controlErr, err)
}
