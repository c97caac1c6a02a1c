package wal

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoLog is what Open returns for a directory that holds neither a log
	// nor a snapshot: a new member, for which the caller calls Create.
	ErrNoLog = errors.New("wal: no log in this directory")
	// ErrClosed is what every call on a closed Log returns.
	ErrClosed = errors.New("wal: log is closed")
	// ErrIncomplete is what Open returns when every file is valid but
	// together they do not reach from the start, or from a snapshot, to the
	// last committed entry.
	ErrIncomplete = errors.New("wal: log is incomplete")
	// ErrVersion refuses a file of a newer format version.
	ErrVersion = errors.New("wal: written by a newer version of etcd")
	// ErrTooLarge refuses a snapshot from a peer that is larger than the disk.
	ErrTooLarge = errors.New("wal: larger than the disk")
	// ErrForeign refuses a file of another cluster or member.
	ErrForeign = errors.New("wal: belongs to another cluster or member")
)

// remedy is never to restore an older copy of the directory: a member that comes back
// without what it has acked breaks what its peers rely on.
const remedy = "do not edit the files, and do not put an older copy of the directory in their place: if the cluster has other members, " +
	"remove this one through one of them and let the member join again with an empty directory (docs/operations.md, Replace a machine); " +
	"if it is the only one, a copy of the directory is all there is to go back to, and what was written since is lost"

// CorruptError reports damage to data that had been acknowledged: in a segment,
// for which Open refuses to start, or in a snapshot file. Nothing on disk has
// been changed when it is returned.
type CorruptError struct {
	File   string // name inside the data directory
	Offset int64  // where the damaged part begins, in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("wal: %s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
	if strings.Contains(e.File, snapshotSuffix) {
		// Recovery falls back to the snapshot before it.
		return s
	}
	return s + "; " + remedy
}
