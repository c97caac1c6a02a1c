package wal

import (
	"errors"
	"fmt"
	"syscall"

	"etcd/wal/vfs"
)

// spareName is that of a segment that has no number yet. What a crash leaves of it goes at
// the next start.
var spareName = segmentName(0) + tempSuffix

// Spare is a file that was made ahead of time, to become the next segment of a Log.
type Spare struct {
	file vfs.File
	size int64
}

// NewSpare makes a spare: space is taken, and the directory has its name, when it returns.
// There may be one at a time that is not a segment yet. It may be made while the Log is in
// use. It is nil when there is not enough space, and nothing is left of it then. After an
// error the process has to end, at once: what is left goes at the next start.
func NewSpare(fsys vfs.FS, opts Options) (*Spare, error) {
	s, err := newSpare(fsys, opts)
	if err != nil {
		return nil, fmt.Errorf("wal: prepare the next segment: %w", err)
	}
	return s, nil
}

func newSpare(fsys vfs.FS, opts Options) (*Spare, error) {
	size, err := opts.segmentSize(fsys, 0)
	if err != nil {
		return nil, err
	}
	f, err := allocate(fsys, spareName, size)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	// The entry of the directory moves when the spare gets its number. It is synced then;
	// that it is now makes less to do then.
	if err := fsys.SyncDir(); err != nil {
		return nil, err
	}
	return &Spare{file: f, size: size}, nil
}

// drop gives the spare up.
func (s *Spare) drop(fsys vfs.FS) {
	_ = s.file.Close()
	_ = fsys.Remove(spareName)
}

// WantsSpare says that it is time to call NewSpare and to give the Log the result: half of
// the current segment is used. It says so once.
func (l *Log) WantsSpare() bool {
	if l.err != nil || l.spare != nil || l.sparing || l.spared == l.head.seq || l.offset < l.head.size/2 {
		return false
	}
	l.sparing, l.spared = true, l.head.seq
	return true
}

// TakeSpare takes what NewSpare has returned; nil if there is none, and then the Log makes
// its next segment itself.
func (l *Log) TakeSpare(s *Spare) {
	l.sparing = false
	if l.err != nil && s != nil {
		s.drop(l.fsys)
		return
	}
	l.spare = s
}

// spareFits says whether there is a spare, with room for a record of need bytes.
func (l *Log) spareFits(need int) bool {
	return l.spare != nil && l.spare.size >= headerSize+int64(need)
}

// beginSpare makes the spare the segment that h describes. It has its number, and is
// durable, only after publish: that comes behind its first record, so that one sync of the
// file is enough.
func (l *Log) beginSpare(h *segmentHeader) (vfs.File, error) {
	f := l.spare.file
	h.size = l.spare.size
	l.spare = nil
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return nil, err
	}
	l.unnamed = true
	return f, nil
}

// publish gives a segment that was a spare its name, when its first record is durable.
func (l *Log) publish() error {
	name := segmentName(l.head.seq)
	if err := nameSegment(l.fsys, spareName, name); err != nil {
		return fmt.Errorf("wal: name segment %s: %w", name, err)
	}
	l.unnamed = false
	return nil
}
