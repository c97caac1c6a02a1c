package e2e

import "syscall"

// Windows has no signals but the one that kills a process. A test that sends another, even
// SIGTERM, fails: the tests compile here, and most cannot run.
const (
	sigStop = syscall.Signal(19)
	sigCont = syscall.Signal(18)
)

// peek cannot look: whether the server has closed a connection shows when it is used.
func (c *conn) peek() (n int, err error) { return 0, syscall.EAGAIN }
