package wal

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// memFS is a directory in memory that can fail an operation and be cloned as a
// power cut would leave it.
type memFS struct {
	mu      sync.Mutex
	names   map[string]*memFile // as the process sees it
	durable map[string]*memFile // as of the last SyncDir
	locked  bool

	ops    int                          // operations that can fail, so far
	inject func(n int, op string) error // asked before each with its number, from 1
}

// memFile keeps the content as the process sees it and as it was last synced.
type memFile struct {
	data, synced []byte
}

func newMemFS() *memFS {
	return &memFS{names: map[string]*memFile{}, durable: map[string]*memFile{}}
}

func (m *memFS) step(op string) error {
	m.ops++
	if m.inject == nil {
		return nil
	}
	return m.inject(m.ops, op)
}

func (m *memFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("create"); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, fs.ErrExist
	}
	m.names[name] = &memFile{}
	return &memHandle{fs: m, file: m.names[name]}, nil
}

func (m *memFS) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &memHandle{fs: m, file: m.names[name]}, nil
}

func (m *memFS) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("rename"); err != nil {
		return err
	}
	if m.names[oldName] == nil {
		return fs.ErrNotExist
	}
	m.names[newName] = m.names[oldName]
	delete(m.names, oldName)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return fs.ErrNotExist
	}
	if err := m.step("remove"); err != nil {
		return err
	}
	delete(m.names, name)
	return nil
}

func (m *memFS) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (m *memFS) SyncDir() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("syncdir"); err != nil {
		return err
	}
	m.durable = map[string]*memFile{}
	for name, f := range m.names {
		m.durable[name] = f
	}
	return nil
}

func (m *memFS) Lock(string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, ErrLocked
	}
	m.locked = true
	return closerFunc(func() error { m.locked = false; return nil }), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// clone copies the directory as the process sees it, everything durable.
func (m *memFS) clone() *memFS {
	c := newMemFS()
	for name, f := range m.names {
		c.put(name, f.data)
	}
	return c
}

// crash copies what a power cut may leave: of each unsynced name the old or
// the new state, of each unsynced file any mix of old and new blocks.
func (m *memFS) crash(rnd *rand.Rand) *memFS {
	c := newMemFS()
	seen := map[string]bool{}
	for _, dir := range []map[string]*memFile{m.names, m.durable} {
		for name := range dir {
			seen[name] = true
		}
	}
	sorted := make([]string, 0, len(seen))
	for name := range seen {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		f := m.names[name]
		if f != m.durable[name] && rnd.IntN(2) == 0 {
			f = m.durable[name]
		}
		if f != nil {
			c.put(name, f.torn(rnd))
		}
	}
	return c
}

func (f *memFile) torn(rnd *rand.Rand) []byte {
	size := len(f.data)
	if rnd.IntN(2) == 0 {
		size = len(f.synced)
	}
	block := []int{1, 8, 64, 512}[rnd.IntN(4)]
	mostly := rnd.IntN(10) // how many tenths of the blocks are new
	out := make([]byte, size)
	copy(out, f.synced)
	for off := 0; off < size; off += block {
		if rnd.IntN(10) >= mostly {
			continue
		}
		if off < len(f.data) {
			copy(out[off:min(off+block, size)], f.data[off:])
		}
	}
	return out
}

// put adds a durable file.
func (m *memFS) put(name string, data []byte) {
	f := &memFile{data: slices.Clone(data), synced: slices.Clone(data)}
	m.names[name], m.durable[name] = f, f
}

// content is what the process sees in a file.
func (m *memFS) content(name string) []byte { return m.names[name].data }

// snapshot of the whole directory, to see that nothing was changed.
func (m *memFS) contents() map[string]string {
	out := map[string]string{}
	for name, f := range m.names {
		out[name] = string(f.data)
	}
	return out
}

type memHandle struct {
	fs     *memFS
	file   *memFile
	closed bool
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if off >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.fs.step("write")
	if err != nil {
		p = p[:len(p)/2]
	}
	h.grow(off + int64(len(p)))
	copy(h.file.data[off:], p)
	return len(p), err
}

func (h *memHandle) grow(size int64) {
	if n := size - int64(len(h.file.data)); n > 0 {
		h.file.data = append(h.file.data, make([]byte, n)...)
	}
}

func (h *memHandle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.file.data)), nil
}

func (h *memHandle) Allocate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step("allocate"); err != nil {
		return err
	}
	h.grow(size)
	return nil
}

func (h *memHandle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step("sync"); err != nil {
		return err
	}
	h.file.synced = append(h.file.synced[:0], h.file.data...)
	return nil
}

func (h *memHandle) Close() error {
	if h.closed {
		return errors.New("file closed twice")
	}
	h.closed = true
	return nil
}

// failure is the error each kind of operation would meet in real life.
func failure(op string) error {
	switch op {
	case "create", "write", "allocate":
		return syscall.ENOSPC
	default:
		return syscall.EIO
	}
}
