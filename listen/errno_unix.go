//go:build unix

package listen

import "syscall"

var (
	// scarceErrors are those of an accept that finds no descriptor or memory.
	scarceErrors = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	// resetErrors say that the other side has closed a connection.
	resetErrors = []error{syscall.ECONNRESET, syscall.EPIPE}
)
