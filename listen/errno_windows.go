package listen

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// The system has numbers of its own, those of Winsock. EMFILE is never returned by it.
var (
	// scarceErrors are those of an accept that finds no handle or memory.
	scarceErrors = []error{windows.WSAEMFILE, windows.WSAENOBUFS, syscall.EMFILE}
	// resetErrors say that the other side has closed a connection.
	resetErrors = []error{windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAESHUTDOWN}
)
