package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// openSocket listens at the path of a socket. One that a process has left there which ended without a
// stop is replaced; who may connect is the umask's business.
func (s site) openSocket() (net.Listener, error) {
	l, err := net.Listen("unix", s.addr)
	if errors.Is(err, errAddrInUse) {
		if err := s.removeStale(); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", s.addr)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %s: the directory of the socket does not exist: make it first", s.flag, s)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", s.flag, s, err)
	}
	return l, nil
}

// removeStale removes a socket at which no process listens.
func (s site) removeStale() error {
	info, err := os.Lstat(s.addr)
	if err != nil {
		return fmt.Errorf("%s %s: %w", s.flag, s, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s %s: there is a file that is no socket; move it away, or choose another path", s.flag, s)
	}
	c, err := net.Dial("unix", s.addr)
	switch {
	case err == nil:
		_ = c.Close() // it has said what it was for
		return fmt.Errorf("%s %s: another process listens there already; stop it, or choose another path", s.flag, s)
	case !errors.Is(err, errRefused):
		return fmt.Errorf("%s %s: there is a socket, of which cannot be said whether a process listens at it: %w", s.flag, s, err)
	}
	return os.Remove(s.addr)
}
