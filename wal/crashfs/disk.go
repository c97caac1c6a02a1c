package crashfs

import (
	"io"
	"io/fs"
	"math"
	"slices"
	"sync"
	"syscall"

	"etcd/wal/vfs"
)

// Op names an operation that can fail.
type Op string

// The operations that can fail. Reading never does.
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
	// its file. The operation fails with the error it returns; a failed write is torn in
	// half, and what a failed sync did not write counts as clean: no later sync writes
	// it. No lock is held, so Inject may block.
	Inject func(op Op, name string) error
	// Size bounds the bytes of all files together; 0: no limit.
	Size int64

	mu      sync.Mutex
	names   map[string]*file // as the process sees it
	durable map[string]*file // as of the last SyncDir
	changed bool             // since the last SyncDir, whether that failed or not
	locked  bool
}

// file keeps the content as the process sees it and as it was last synced.
type file struct {
	data, synced []byte
	dirty        []span // written since the last sync
	lost         []span // written before a failed sync: it may be on the disk or not
}

// span is a part of a file.
type span struct{ from, to int64 }

func (f *file) grow(size int64) {
	if have := int64(len(f.data)); size > have {
		f.data = append(f.data, make([]byte, size-have)...)
		f.dirty = append(f.dirty, span{have, size})
	}
}

func (f *file) write(p []byte, off int64) {
	f.grow(off + int64(len(p)))
	copy(f.data[off:], p)
	f.dirty = append(f.dirty, span{off, off + int64(len(p))})
}

// sync writes the dirty spans, and only those.
func (f *file) sync() {
	f.synced = append(f.synced, make([]byte, len(f.data)-len(f.synced))...)
	for _, s := range f.dirty {
		copy(f.synced[s.from:s.to], f.data[s.from:s.to])
	}
	f.dirty = f.dirty[:0]
}

func (f *file) failSync() {
	f.lost = append(f.lost, f.dirty...)
	f.dirty = nil
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
	d.names[name], d.changed = &file{}, true
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
	d.names[newName], d.changed = d.names[oldName], true
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
	d.changed = true
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

// Space implements [vfs.FS].
func (d *Disk) Space() (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free, total = d.space()
	return free, total, nil
}

func (d *Disk) space() (free, total int64) {
	if d.Size == 0 {
		return math.MaxInt64, math.MaxInt64
	}
	free = d.Size
	for _, f := range d.names {
		free -= int64(len(f.data))
	}
	return free, d.Size
}

// SyncDir implements [vfs.FS]. After a failed one the changes before it count as clean: it
// takes a new change for the next SyncDir to write them.
func (d *Disk) SyncDir() error {
	err := d.before(OpSyncDir, "")
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := d.changed
	d.changed = false
	if err != nil || !changed {
		return err
	}
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
