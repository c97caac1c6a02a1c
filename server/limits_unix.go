//go:build unix

package server

import (
	"math"
	"syscall"
)

// openFiles is the limit of open files. The runtime of Go has raised the soft one to the
// hard one already.
func openFiles() uint64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return math.MaxUint64
	}
	return files.Cur
}
