package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// dir does everything by the descriptor of the directory: what becomes of its path while
// it is in use, a link to somewhere else for example, changes nothing.
type dir struct {
	path   string
	handle *os.File
	shared bool
}

// Dir returns the directory at path as an FS, creating it and its missing parents with
// mode 0700. Files get mode 0600. It fails with an *UnsafeError as [CheckDir] does, and so
// does opening a file that somebody else owns or can write to.
func Dir(path string) (FS, error) {
	if err := CheckDir(path); err != nil {
		return nil, err
	}
	return openDir(path, false)
}

// SharedDir is Dir without regard to owners and modes, for a directory in which others
// are to write as well. They are trusted with its content, and with nothing else: no link
// of theirs is followed.
func SharedDir(path string) (FS, error) { return openDir(path, true) }

func openDir(path string, shared bool) (FS, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeDir(abs); err != nil {
		return nil, err
	}
	handle, err := os.OpenFile(abs, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if !shared { // it may be another one than was checked
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

// makeDir creates path and its missing parents, each made durable in the
// directory that holds it.
func makeDir(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (d *dir) join(name string) string { return filepath.Join(d.path, name) }

// at carries out a system call on a name in the directory.
func (d *dir) at(op, name string, call func(dirfd int) error) error {
	err := uninterrupted(func() error { return call(int(d.handle.Fd())) })
	runtime.KeepAlive(d) // the descriptor is closed with it
	if err != nil {
		return &fs.PathError{Op: op, Path: d.join(name), Err: err}
	}
	return nil
}

// open opens a regular file, and what is none not even for a moment: a pipe would wait,
// and a device may do things.
func (d *dir) open(name string, flag int) (*os.File, error) {
	var st unix.Stat_t
	look := func(dirfd int) error { return unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) }
	err := d.at("open", name, look)
	if errors.Is(err, fs.ErrNotExist) && flag&unix.O_CREAT != 0 {
		err = nil // what appears meanwhile is looked at when it is open
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

func (d *dir) Create(name string) (File, error) {
	f, err := d.open(name, unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d *dir) Open(name string) (File, error) {
	f, err := d.open(name, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
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

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Private() (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	return info.Mode().Perm()&0o077 == 0 && owner(info) == user(), nil
}

// extend grows the file without reserving blocks.
func (f osFile) extend(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	return f.Truncate(size)
}
