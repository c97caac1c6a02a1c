package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"etcd/wal/vfs"
)

// Wipe deletes every segment and snapshot in the directory, damaged and unfinished
// ones included, and returns how many files that were. It fails with ErrLocked if
// another process uses the directory, and leaves files alone that are not its own.
func Wipe(fsys vfs.FS) (removed int, err error) {
	lock, err := Lock(fsys)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	names, err := fsys.List()
	if err != nil {
		return 0, fmt.Errorf("wal: list directory: %w", err)
	}
	// Oldest segments first, snapshots last, one durable step at a time: a power cut
	// in the middle leaves either all that a snapshot and the rest of the log make up,
	// or something that Open refuses, and never quietly an older state.
	slices.SortStableFunc(names, func(a, b string) int {
		return strings.Count(a, snapshotSuffix) - strings.Count(b, snapshotSuffix)
	})
	for _, name := range names {
		if !strings.Contains(name, segmentSuffix) && !strings.Contains(name, snapshotSuffix) {
			continue
		}
		if err := fsys.Remove(name); err != nil {
			return removed, fmt.Errorf("wal: remove %s: %w", name, err)
		}
		if err := fsys.SyncDir(); err != nil {
			return removed, fmt.Errorf("wal: sync directory: %w", err)
		}
		removed++
	}
	return removed, nil
}
