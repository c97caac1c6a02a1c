package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

type dir struct{ path string }

// Dir returns the directory at path as an FS, creating it and its missing
// parents with mode 0700. Files get mode 0600.
func Dir(path string) (FS, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeDir(abs); err != nil {
		return nil, err
	}
	return dir{path: abs}, nil
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

func (d dir) join(name string) string { return filepath.Join(d.path, name) }

func (d dir) open(name string, flag int) (File, error) {
	f, err := os.OpenFile(d.join(name), os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d dir) Create(name string) (File, error) { return d.open(name, os.O_CREATE|os.O_EXCL) }
func (d dir) Open(name string) (File, error)   { return d.open(name, 0) }
func (d dir) Rename(oldName, newName string) error {
	return os.Rename(d.join(oldName), d.join(newName))
}
func (d dir) Remove(name string) error { return os.Remove(d.join(name)) }
func (d dir) SyncDir() error           { return syncDir(d.path) }

func (d dir) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d dir) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(d.join(name), os.O_RDWR|os.O_CREATE, 0o600)
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

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// extend grows the file without reserving blocks.
func (f osFile) extend(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	return f.Truncate(size)
}
