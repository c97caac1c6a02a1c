package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// CheckDir refuses what is no directory. It may be missing; nothing is created.
//
// Who can write in it, or put another one in its place, is up to access control lists
// here, which are not looked at: it belongs where only the user of this process can write.
func CheckDir(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	return err
}

// Private cannot be told without the access control list, which is not looked at: a file
// gets that of its directory, so it is as private as that.
func (f osFile) Private() (bool, error) { return true, nil }

// kind names what is no regular file.
func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeDir:
		return "a directory"
	}
	return "a device"
}
