package vfs

import (
	"errors"
	"io"
)

var (
	// ErrLocked is what Lock returns while another process holds the lock.
	ErrLocked = errors.New("another etcd is using this data directory")
	// ErrNotRegular is what Open, Create and Lock return for the name of a link, a
	// directory, a pipe, a socket or a device.
	ErrNotRegular = errors.New("not a regular file")
)

// FS is one flat directory. Names have no separators, and are not followed if
// they are links. Its methods may be called from different goroutines at the
// same time.
type FS interface {
	// Create makes a new file, open for reading and writing. It fails with
	// fs.ErrExist when the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing, without blocking. It
	// fails with fs.ErrNotExist when there is none.
	Open(name string) (File, error)
	// Rename renames a file atomically, replacing the file that had the new name.
	Rename(oldName, newName string) error
	// Remove deletes a file. It fails with fs.ErrNotExist when there is none.
	Remove(name string) error
	// List returns the names in the directory, sorted, whatever kind of file they are of.
	List() ([]string, error)
	// SyncDir makes earlier creations, renames and removals durable, on any system but
	// Windows, which has no call for it.
	SyncDir() error
	// Space returns how many bytes the filesystem has free for this process and how many
	// it has in all; both are math.MaxInt64 where that is unknown.
	Space() (free, total int64, err error)
	// Lock takes an exclusive lock on the named file, without blocking, until the
	// result is closed. It fails with ErrLocked when another process holds it.
	Lock(name string) (io.Closer, error)
}

// File is one open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length of the file in bytes.
	Size() (int64, error)
	// Private reports whether the file belongs to the user of this process, and nobody
	// else is permitted to read it or write to it. On Windows that is not checked.
	Private() (bool, error)
	// Allocate makes the file at least size bytes long, reading as zeros past
	// the old end, and reserves the blocks where the filesystem can.
	Allocate(size int64) error
	// Sync makes the content and the size durable: fdatasync on Linux, F_FULLFSYNC on
	// macOS, FlushFileBuffers on Windows.
	Sync() error
}
