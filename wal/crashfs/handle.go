package crashfs

import (
	"errors"
	"io"
	"syscall"
)

// handle is one open file.
type handle struct {
	disk   *Disk
	name   string // under which it was opened
	file   *file
	closed bool
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if off >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	err := h.disk.before(OpWrite, h.name)
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err == nil && h.tooLarge(off+int64(len(p))) {
		err = syscall.ENOSPC
	}
	if err != nil {
		p = p[:len(p)/2]
	}
	h.file.write(p, off)
	return len(p), err
}

// tooLarge reports whether the disk has no space for a file of that size.
func (h *handle) tooLarge(size int64) bool {
	free, _ := h.disk.space()
	return size-int64(len(h.file.data)) > free
}

func (h *handle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return int64(len(h.file.data)), nil
}

func (h *handle) Private() (bool, error) { return true, nil }

func (h *handle) Allocate(size int64) error {
	if err := h.disk.before(OpAllocate, h.name); err != nil {
		return err
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.tooLarge(size) {
		return syscall.ENOSPC
	}
	h.file.grow(size)
	return nil
}

func (h *handle) Sync() error {
	err := h.disk.before(OpSync, h.name)
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err != nil {
		h.file.failSync()
		return err
	}
	h.file.sync()
	return nil
}

func (h *handle) Close() error {
	if h.closed {
		return errors.New("file closed twice")
	}
	h.closed = true
	return nil
}
