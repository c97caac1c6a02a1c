package vfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Allocate reserves space behind the end of the file, which is all that F_PREALLOCATE can
// do, and none for a hole before it. On APFS, which is copy-on-write, a later write may still
// find no space.
func (f osFile) Allocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	more := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: size - have}
	err = uninterrupted(func() error { return unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &more) })
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return &fs.PathError{Op: "fcntl F_PREALLOCATE", Path: f.Name(), Err: err}
	}
	return f.extend(size)
}

// Sync flushes the cache of the disk as well: fsync(2) does not here, and os.File.Sync
// uses F_FULLFSYNC for that reason. It is a plain fsync only where the filesystem does not
// support that, over SMB for example.
func (f osFile) Sync() error { return f.File.Sync() }
