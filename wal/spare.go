package wal

import (
	"fmt"

	"etcd/wal/vfs"
)

// spareName is the name of the spare segment, which has no number yet. The next start removes
// what a crash left of it.
var spareName = segmentName(0) + tempSuffix

// Spare is a preallocated file that becomes the next segment of a Log.
type Spare struct {
	file vfs.File
	size int64
}

// NewSpare preallocates a spare segment: its space is allocated, and its name durable, when
// it returns. There may be one at a time, and it may be made while the Log is in use. Without
// enough space the result is nil, and nothing is left of the file. After an error the process
// must end at once: the next start removes what is left.
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
	case vfs.IsFull(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	// The spare is renamed when it gets its number, and the directory synced again. Syncing it
	// now leaves less to do then, on the way of a write.
	if err := fsys.SyncDir(); err != nil {
		return nil, err
	}
	return &Spare{file: f, size: size}, nil
}

// drop discards the spare.
func (s *Spare) drop(fsys vfs.FS) {
	_ = s.file.Close()
	_ = fsys.Remove(spareName)
}

// WantsSpare reports, once per segment, that it is time to call NewSpare and pass the result
// to TakeSpare: half of the current segment is used.
func (l *Log) WantsSpare() bool {
	if l.err != nil || l.spare != nil || l.spareAwaited || l.spareAsked == l.head.seq || l.offset < l.head.size/2 {
		return false
	}
	l.spareAwaited, l.spareAsked = true, l.head.seq
	return true
}

// TakeSpare takes the result of NewSpare. If that is nil, the Log creates its next segment
// itself.
func (l *Log) TakeSpare(s *Spare) {
	l.spareAwaited = false
	if l.err != nil && s != nil {
		s.drop(l.fsys)
		return
	}
	l.spare = s
}

// spareFits reports whether there is a spare with room for a record of need bytes.
func (l *Log) spareFits(need int) bool {
	return l.spare != nil && l.spare.size >= headerSize+int64(need)
}

// beginSpare turns the spare into the segment that h describes. It gets its name, and is
// durable, only with publish, after its first record, so that one sync of the file is enough.
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

// publish gives a segment that was a spare its name, once its first record is durable.
func (l *Log) publish() error {
	name := segmentName(l.head.seq)
	if err := nameSegment(l.fsys, spareName, name); err != nil {
		return fmt.Errorf("wal: name segment %s: %w", name, err)
	}
	l.unnamed = false
	return nil
}
