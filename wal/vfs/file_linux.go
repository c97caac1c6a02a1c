package vfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

func (f osFile) Allocate(size int64) error {
	err := uninterrupted(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return f.extend(size)
	default:
		return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
}

func (f osFile) Sync() error {
	if err := uninterrupted(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}
