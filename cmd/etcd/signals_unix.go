//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// outliveWriting keeps signals that a write raises from ending or stopping the process:
// one to a pipe without a reader, or to a terminal from the background (stty tostop). The
// write fails, or goes on, as any other.
func outliveWriting() { signal.Ignore(syscall.SIGPIPE, syscall.SIGTTOU) }

// hasTerminal says whether the process was started in a terminal, which may hang up.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = tty.Close() // it was only looked at
	return true
}
