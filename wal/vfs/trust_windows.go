package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// CheckDir refuses anything but a directory. It may be missing; nothing is created.
//
// Access control lists decide here who can write in it or replace it, and they are not
// checked: it belongs where only the user of this process can write.
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

// Private does not check the access control list: a file inherits that of its directory, so
// it is as private as that.
func (f osFile) Private() (bool, error) { return true, nil }

// kind names the type of a file that is not regular.
func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeDir:
		return "a directory"
	}
	return "a device"
}
