package vfs

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// IsFull reports whether err is for want of space, on the volume or in a quota. The system never
// returns ENOSPC, but this program does.
func IsFull(err error) bool {
	for _, full := range []error{
		syscall.ENOSPC, windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED,
	} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}
