package crashfs

import (
	"errors"
	"io"
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
	if err != nil {
		p = p[:len(p)/2]
	}
	h.grow(off + int64(len(p)))
	copy(h.file.data[off:], p)
	return len(p), err
}

func (h *handle) grow(size int64) {
	if n := size - int64(len(h.file.data)); n > 0 {
		h.file.data = append(h.file.data, make([]byte, n)...)
	}
}

func (h *handle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return int64(len(h.file.data)), nil
}

func (h *handle) Allocate(size int64) error {
	if err := h.disk.before(OpAllocate, h.name); err != nil {
		return err
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.grow(size)
	return nil
}

func (h *handle) Sync() error {
	if err := h.disk.before(OpSync, h.name); err != nil {
		return err
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.file.synced = append(h.file.synced[:0], h.file.data...)
	return nil
}

func (h *handle) Close() error {
	if h.closed {
		return errors.New("file closed twice")
	}
	h.closed = true
	return nil
}
