package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"etcd/wal/vfs"
)

const (
	segmentSuffix  = ".wal"
	snapshotSuffix = ".snap"
	tempSuffix     = ".tmp"
	badSuffix      = ".bad"
	receivedPrefix = "received-" // of a temporary file
)

// LockName is the file that Lock takes. It is empty, and stays.
const LockName = "lock"

func segmentName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, segmentSuffix) }

func snapshotName(index, term uint64) string {
	return fmt.Sprintf("%016x-%016x%s", term, index, snapshotSuffix)
}

// parseHex reads exactly 16 lower-case hexadecimal digits.
func parseHex(s string) (uint64, bool) {
	if len(s) != 16 || strings.ToLower(s) != s {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil
}

func parseSegmentName(name string) (seq uint64, ok bool) {
	stem, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	return parseHex(stem)
}

func parseSnapshotName(name string) (id snapshotID, ok bool) {
	stem, ok := strings.CutSuffix(name, snapshotSuffix)
	term, index, found := strings.Cut(stem, "-")
	if !ok || !found {
		return snapshotID{}, false
	}
	t, okTerm := parseHex(term)
	i, okIndex := parseHex(index)
	return snapshotID{index: i, term: t}, okTerm && okIndex
}

func removeIfExists(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Lock takes the directory's lock file for as long as the result stays open.
// It fails with vfs.ErrLocked when another process has it.
func Lock(fsys vfs.FS) (io.Closer, error) {
	c, err := fsys.Lock(LockName)
	if err != nil {
		return nil, fmt.Errorf("wal: lock file %s: %w", LockName, err)
	}
	return c, nil
}
