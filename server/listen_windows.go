package server

import "golang.org/x/sys/windows"

// Why a port cannot be opened.
const (
	errAddrInUse        = windows.WSAEADDRINUSE
	errAddrNotAvailable = windows.WSAEADDRNOTAVAIL // the address is not one of this host's
	errNotPermitted     = windows.WSAEACCES
	errRefused          = windows.WSAECONNREFUSED // nobody listens at a socket
)
