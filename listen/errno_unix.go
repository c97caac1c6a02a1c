//go:build unix

package listen

import "syscall"

var (
	// exhaustedErrors are the errors of an accept for want of a descriptor or memory.
	exhaustedErrors = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	// resetErrors mean that the client has closed the connection.
	resetErrors = []error{syscall.ECONNRESET, syscall.EPIPE}
)
