//go:build linux || darwin

package vfs

import (
	"math"

	"golang.org/x/sys/unix"
)

func (d *dir) Space() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := d.at("statfs", "", func(dirfd int) error { return unix.Fstatfs(dirfd, &st) }); err != nil {
		return 0, 0, err
	}
	if st.Blocks == 0 { // some network filesystems, and a tmpfs without a limit
		return math.MaxInt64, math.MaxInt64, nil
	}
	size := int64(st.Bsize)
	bytes := func(blocks uint64) int64 { return int64(min(blocks, uint64(math.MaxInt64/size))) * size }
	return bytes(st.Bavail), bytes(st.Blocks), nil
}
