package vfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Allocate reserves space behind the end of the file, which is what F_PREALLOCATE can do,
// and none for a hole before it. APFS, which copies what it overwrites, may still find
// none for a write later on.
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
// uses F_FULLFSYNC for that reason. Only where the filesystem has no such thing, over SMB
// for example, is it a plain fsync.
func (f osFile) Sync() error { return f.File.Sync() }
