package crashfs

import (
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"etcd/wal/vfs"
)

// Op names an operation that can fail.
type Op string

// The operations that can fail. Those that only read never do.
const (
	OpCreate   Op = "create"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
	OpWrite    Op = "write"
	OpAllocate Op = "allocate"
	OpSync     Op = "sync"
)

// Failure is the error that an operation would typically meet in real life.
func (op Op) Failure() error {
	switch op {
	case OpCreate, OpWrite, OpAllocate:
		return syscall.ENOSPC
	default:
		return syscall.EIO
	}
}

// Disk is a directory in memory. It implements [vfs.FS].
type Disk struct {
	// Inject, if set, is asked before each operation that can fail, with the name of
	// its file. The operation fails with the error it returns; a write is then
	// carried out by half. No lock is held, so it may block.
	Inject func(op Op, name string) error

	mu      sync.Mutex
	names   map[string]*file // as the process sees it
	durable map[string]*file // as of the last SyncDir
	locked  bool
}

// file keeps the content as the process sees it and as it was last synced.
type file struct {
	data, synced []byte
}

// New returns an empty directory.
func New() *Disk {
	return &Disk{names: map[string]*file{}, durable: map[string]*file{}}
}

func (d *Disk) before(op Op, name string) error {
	if d.Inject == nil {
		return nil
	}
	return d.Inject(op, name)
}

// Create implements [vfs.FS].
func (d *Disk) Create(name string) (vfs.File, error) {
	if err := d.before(OpCreate, name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] != nil {
		return nil, fs.ErrExist
	}
	d.names[name] = &file{}
	return &handle{disk: d, name: name, file: d.names[name]}, nil
}

// Open implements [vfs.FS].
func (d *Disk) Open(name string) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &handle{disk: d, name: name, file: d.names[name]}, nil
}

// Rename implements [vfs.FS].
func (d *Disk) Rename(oldName, newName string) error {
	if err := d.before(OpRename, oldName); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[oldName] == nil {
		return fs.ErrNotExist
	}
	d.names[newName] = d.names[oldName]
	delete(d.names, oldName)
	return nil
}

// Remove implements [vfs.FS].
func (d *Disk) Remove(name string) error {
	if !d.Has(name) {
		return fs.ErrNotExist
	}
	if err := d.before(OpRemove, name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
	return nil
}

// List implements [vfs.FS].
func (d *Disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements [vfs.FS].
func (d *Disk) SyncDir() error {
	if err := d.before(OpSyncDir, ""); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.durable)
	for name, f := range d.names {
		d.durable[name] = f
	}
	return nil
}

// Lock implements [vfs.FS].
func (d *Disk) Lock(string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, vfs.ErrLocked
	}
	d.locked = true
	return closerFunc(func() error { d.locked = false; return nil }), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }
