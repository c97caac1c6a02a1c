//go:build unix

package server

import "syscall"

// Why a port cannot be opened.
const (
	errAddrInUse        = syscall.EADDRINUSE
	errAddrNotAvailable = syscall.EADDRNOTAVAIL // the address is not one of this host's
	errNotPermitted     = syscall.EACCES
	errRefused          = syscall.ECONNREFUSED // nobody listens at a socket
)
