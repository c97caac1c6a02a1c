//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreWriteSignals keeps the signals that a write can raise from ending or stopping the process:
// a write to a pipe without a reader, or to a terminal from the background (stty tostop). The
// write itself fails or succeeds like any other.
func ignoreWriteSignals() { signal.Ignore(syscall.SIGPIPE, syscall.SIGTTOU) }

// hasTerminal reports whether the process has a controlling terminal, which may hang up.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = tty.Close() // it was opened only to see whether it exists
	return true
}
