package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// FS is one flat directory. Names have no separators. Its methods may be
// called from different goroutines at the same time.
type FS interface {
	// Create makes a new file, open for reading and writing. It fails with
	// fs.ErrExist when the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing. It fails with
	// fs.ErrNotExist when there is none.
	Open(name string) (File, error)
	// Rename gives a file a new name at once, replacing the file that had it.
	Rename(oldName, newName string) error
	// Remove deletes a file. It fails with fs.ErrNotExist when there is none.
	Remove(name string) error
	// List returns the names in the directory, sorted.
	List() ([]string, error)
	// SyncDir makes earlier creations, renames and removals durable.
	SyncDir() error
	// Lock takes the named lock file exclusively, without waiting, until the
	// result is closed. It fails with ErrLocked when someone else holds it.
	Lock(name string) (io.Closer, error)
}

// File is one open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length of the file in bytes.
	Size() (int64, error)
	// Allocate makes the file at least size bytes long, reading as zeros past
	// the old end, and reserves the blocks where the filesystem can.
	Allocate(size int64) error
	// Sync makes the content and the size durable (fdatasync).
	Sync() error
}

const (
	segmentSuffix  = ".wal"
	snapshotSuffix = ".snap"
	tempSuffix     = ".tmp"
	badSuffix      = ".bad"
	lockName       = "lock"
)

func segmentName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, segmentSuffix) }

func snapshotName(index, term uint64) string {
	return fmt.Sprintf("%016x-%016x%s", term, index, snapshotSuffix)
}

// parseHex reads exactly 16 lower-case hexadecimal digits.
func parseHex(s string) (uint64, bool) {
	if len(s) != 16 || strings.ToLower(s) != s {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil
}

func parseSegmentName(name string) (seq uint64, ok bool) {
	return parseHex(strings.TrimSuffix(name, segmentSuffix))
}

func parseSnapshotName(name string) (id snapshotID, ok bool) {
	term, index, found := strings.Cut(strings.TrimSuffix(name, snapshotSuffix), "-")
	if !found {
		return snapshotID{}, false
	}
	t, okTerm := parseHex(term)
	i, okIndex := parseHex(index)
	return snapshotID{index: i, term: t}, okTerm && okIndex
}

func removeIfExists(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Lock takes the directory's lock file for as long as the result stays open.
// It fails with ErrLocked when another process has it.
func Lock(fsys FS) (io.Closer, error) {
	c, err := fsys.Lock(lockName)
	if err != nil {
		return nil, fmt.Errorf("wal: lock file %s: %w", lockName, err)
	}
	return c, nil
}
