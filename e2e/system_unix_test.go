//go:build unix

package e2e

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// peek looks for a byte to read, below TLS, without waiting.
func (c *conn) peek() (n int, err error) {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	readErr := raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return n, errors.Join(readErr, err)
}

// TestPlantedPipe checks that a start does not block on a named pipe.
func TestPlantedPipe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"config.json", "auto-tls.key", "lock"} {
		s := newServer(t, "-auto-tls")
		fill(t, s.data, nil)
		if err := syscall.Mkfifo(filepath.Join(s.data, name), 0o600); err != nil {
			t.Fatal(err)
		}
		checkRefusal(t, s.flags(), name, "a pipe", "move it away")
	}
}
