//go:build unix

package server

import "syscall"

// Why a port cannot be opened.
const (
	errInUse        = syscall.EADDRINUSE
	errNotHere      = syscall.EADDRNOTAVAIL // the address is not one of this host's
	errNotPermitted = syscall.EACCES
)
