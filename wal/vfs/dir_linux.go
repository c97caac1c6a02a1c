package vfs

import (
	"errors"
	"io/fs"
	"math"

	"golang.org/x/sys/unix"
)

func (f osFile) Allocate(size int64) error {
	err := uninterrupted(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return f.extend(size)
	default:
		return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
}

func (f osFile) Sync() error {
	if err := uninterrupted(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (d *dir) Space() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := d.at("statfs", "", func(dirfd int) error { return unix.Fstatfs(dirfd, &st) }); err != nil {
		return 0, 0, err
	}
	if st.Blocks == 0 { // some network filesystems, and a tmpfs without a limit
		return math.MaxInt64, math.MaxInt64, nil
	}
	bytes := func(blocks uint64) int64 {
		return int64(min(blocks, uint64(math.MaxInt64/st.Bsize))) * int64(st.Bsize)
	}
	return bytes(st.Bavail), bytes(st.Blocks), nil
}
