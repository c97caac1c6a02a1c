package listen

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// The system has error numbers of its own, those of Winsock. Only a test returns EMFILE.
var (
	// exhaustedErrors are the errors of an accept for want of a handle or memory.
	exhaustedErrors = []error{windows.WSAEMFILE, windows.WSAENOBUFS, syscall.EMFILE}
	// resetErrors mean that the client has closed the connection.
	resetErrors = []error{windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAESHUTDOWN}
)
