package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/windows"
)

// dir does everything relative to the handle of the directory, and nothing leads out of it.
// What another process has open without sharing it can be neither renamed nor removed.
type dir struct {
	path string
	root *os.Root
}

// open opens the directory at an absolute path. Its access control list decides whether it
// is shared.
func open(abs string, _ bool) (*dir, error) {
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &dir{path: abs, root: root}, nil
}

// syncDir does nothing: see SyncDir.
func syncDir(string) error { return nil }

// SyncDir does nothing, because there is no call for it: names are in the journal of NTFS,
// which the system flushes at its own times. A power cut may undo the last creations, renames
// and removals.
func (d *dir) SyncDir() error { return nil }

// open opens a regular file that has no other name.
func (d *dir) open(name string, flag int) (*os.File, error) {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0: // what appears meanwhile is checked once it is open
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, notRegular(d.join(name), kind(info.Mode()))
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := d.check(name, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check refuses anything but a regular file with one name.
func (d *dir) check(name string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return notRegular(d.join(name), kind(info.Mode()))
	}
	var more windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &more); err != nil {
		return &fs.PathError{Op: "open", Path: d.join(name), Err: err}
	}
	if more.NumberOfLinks > 1 {
		return linkedElsewhere(d.join(name))
	}
	return nil
}

func (d *dir) Rename(oldName, newName string) error { return d.root.Rename(oldName, newName) }

func (d *dir) Remove(name string) error { return d.root.Remove(name) }

func (d *dir) List() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, f.Close())
}

// Lock locks the first byte of the file. The system unlocks it when the process has ended,
// which may be a moment later.
func (d *dir) Lock(name string) (io.Closer, error) {
	f, err := d.open(name, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), exclusive, 0, 1, 0, new(windows.Overlapped)); err != nil {
		_ = f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, fmt.Errorf("%s: %w", d.path, ErrLocked)
		}
		return nil, &fs.PathError{Op: "LockFileEx", Path: d.join(name), Err: err}
	}
	return f, nil
}

// Space uses the path, because GetDiskFreeSpaceEx takes nothing else.
func (d *dir) Space() (free, total int64, err error) {
	path, err := windows.UTF16PtrFromString(d.path)
	if err != nil {
		return 0, 0, err
	}
	var mine, all uint64
	if err := windows.GetDiskFreeSpaceEx(path, &mine, &all, nil); err != nil {
		return 0, 0, &fs.PathError{Op: "GetDiskFreeSpaceEx", Path: d.path, Err: err}
	}
	return int64(min(mine, math.MaxInt64)), int64(min(all, math.MaxInt64)), nil
}

// Allocate reserves the space: NTFS does so for every file that is not sparse.
func (f osFile) Allocate(size int64) error { return f.extend(size) }

// Sync is FlushFileBuffers, which flushes the cache of the disk as well.
func (f osFile) Sync() error { return f.File.Sync() }
