//go:build unix

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// dir does everything relative to the descriptor of the directory: replacing its path while
// it is in use, by a link to somewhere else for example, changes nothing.
type dir struct {
	path   string
	handle *os.File
	shared bool
}

// open opens the directory at an absolute path.
func open(abs string, shared bool) (*dir, error) {
	handle, err := os.OpenFile(abs, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if !shared { // the path may lead to another directory than when it was checked
		info, err := handle.Stat()
		if err == nil {
			err = checkDir(abs, info)
		}
		if err != nil {
			return nil, errors.Join(err, handle.Close())
		}
	}
	return &dir{path: abs, handle: handle, shared: shared}, nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// at makes a system call on a name in the directory.
func (d *dir) at(op, name string, call func(dirfd int) error) error {
	err := uninterrupted(func() error { return call(int(d.handle.Fd())) })
	runtime.KeepAlive(d) // its finalizer closes the descriptor
	if err != nil {
		return &fs.PathError{Op: op, Path: d.join(name), Err: err}
	}
	return nil
}

// open opens a regular file, and anything else not even for a moment: opening a pipe would
// block, and opening a device may have side effects.
func (d *dir) open(name string, flag int) (*os.File, error) {
	var st unix.Stat_t
	look := func(dirfd int) error { return unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) }
	err := d.at("open", name, look)
	if errors.Is(err, fs.ErrNotExist) && flag&unix.O_CREAT != 0 {
		err = nil // what appears meanwhile is checked once it is open
	} else if err == nil {
		err = d.check(name, &st)
	}
	if err != nil {
		return nil, err
	}
	var fd int
	err = d.at("open", name, func(dirfd int) (err error) {
		fd, err = unix.Openat(dirfd, name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|flag, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = unix.Fstat(fd, &st)
	if err == nil {
		err = d.check(name, &st)
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

func (d *dir) Rename(oldName, newName string) error {
	return d.at("rename", oldName, func(dirfd int) error { return unix.Renameat(dirfd, oldName, dirfd, newName) })
}

func (d *dir) Remove(name string) error {
	return d.at("remove", name, func(dirfd int) error { return unix.Unlinkat(dirfd, name, 0) })
}

func (d *dir) SyncDir() error { return d.handle.Sync() }

func (d *dir) List() ([]string, error) {
	var fd int
	err := d.at("open", "", func(dirfd int) (err error) {
		fd, err = unix.Openat(dirfd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), d.path)
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, f.Close())
}

func (d *dir) Lock(name string) (io.Closer, error) {
	f, err := d.open(name, unix.O_CREAT)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", d.path, ErrLocked)
		}
		return nil, &fs.PathError{Op: "flock", Path: d.join(name), Err: err}
	}
	return f, nil
}

// uninterrupted repeats a call that a signal broke off. An interrupted
// fdatasync has neither succeeded nor reported a lost write, so this is no
// retry of a failed one.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f osFile) Private() (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	return info.Mode().Perm()&0o077 == 0 && owner(info) == user(), nil
}
