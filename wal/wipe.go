package wal

import (
	"fmt"
	"slices"
	"strings"

	"etcd/wal/vfs"
)

// Wipe deletes every segment and snapshot in the directory, damaged and unfinished
// ones included, and returns how many files that were. The lock must be held. It
// deletes nothing if Check refuses the directory, and leaves files alone that are
// not its own.
func Wipe(fsys vfs.FS) (removed int, err error) {
	files, err := survey(fsys)
	if err != nil {
		return 0, err
	}
	// Oldest segments first, snapshots last, one durable step at a time: a power cut
	// in the middle leaves either all that a snapshot and the rest of the log make up,
	// or something that Open refuses, and never quietly an older state.
	slices.SortStableFunc(files, func(a, b file) int {
		return strings.Count(a.name, snapshotSuffix) - strings.Count(b.name, snapshotSuffix)
	})
	for _, f := range files {
		if err := fsys.Remove(f.name); err != nil {
			return removed, fmt.Errorf("wal: remove %s: %w", f.name, err)
		}
		if err := fsys.SyncDir(); err != nil {
			return removed, fmt.Errorf("wal: sync directory: %w", err)
		}
		removed++
	}
	return removed, nil
}
