package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dir returns the directory at path as an FS, creating it and its missing parents with
// mode 0700. Files get mode 0600. It fails with an *UnsafeError as [CheckDir] does, and so
// does opening a file that another user owns or can write to.
func Dir(path string) (FS, error) {
	if err := CheckDir(path); err != nil {
		return nil, err
	}
	return openDir(path, false)
}

// SharedDir is Dir without the checks of owners and modes, for a directory in which others
// write as well. They are trusted with its content, and with nothing else: no link of theirs
// is followed.
func SharedDir(path string) (FS, error) { return openDir(path, true) }

func openDir(path string, shared bool) (FS, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeDir(abs); err != nil {
		return nil, err
	}
	d, err := open(abs, shared)
	if err != nil {
		return nil, err
	}
	return d, nil
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

func (d *dir) join(name string) string { return filepath.Join(d.path, name) }

func (d *dir) Create(name string) (File, error) {
	f, err := d.open(name, os.O_CREATE|os.O_EXCL)
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

// osFile is an open file of a dir.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// extend grows the file, reserving blocks only on a filesystem that does so for every file.
func (f osFile) extend(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	return f.Truncate(size)
}
