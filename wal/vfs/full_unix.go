//go:build unix

package vfs

import (
	"errors"
	"syscall"
)

// IsFull reports whether err is for want of space, on the filesystem or in a quota.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
