package wal

import (
	"fmt"
	"io"
	"io/fs"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/vfs"
)

const (
	defaultSegmentSize = 64 << 20
	minSegmentSize     = 1 << 20 // when the disk is almost full
	// keepBuffer is the largest batch buffer kept for the next batch.
	keepBuffer = 4 << 20
)

// Options tune a Log. The zero value is right for a server.
type Options struct {
	// SegmentSize is the number of bytes preallocated per segment, 64 MiB when 0: less
	// where it would be more than an eighth of what the disk has free, but not less than
	// 1 MiB for that reason. A batch that does not fit gets a segment of its own size.
	SegmentSize int64
	// Keep bounds the memory of the entries that Open returns, in bytes; 0 returns all.
	Keep int
	// Restore reads the body of a snapshot for Open and returns nil if its state can be
	// restored: Open takes the newest snapshot that can. An error that wraps ErrVersion makes
	// Open fail; with any other one the snapshot counts as damaged. If Restore is nil, only
	// the checksums are verified.
	Restore func(body io.Reader) error
	// Accept checks the entries after the snapshot before Open changes anything; an error
	// makes Open fail. nil accepts all.
	Accept func(entries []*raftpb.Entry) error
}

// segmentSize returns the size of a new segment whose first record has need bytes.
func (o Options) segmentSize(fsys vfs.FS, need int) (int64, error) {
	size := o.SegmentSize
	if size == 0 {
		size = defaultSegmentSize
	}
	free, _, err := fsys.Space()
	if err != nil {
		return 0, fmt.Errorf("wal: free space: %w", err)
	}
	// The rest is for snapshots: only they let segments be released.
	size = min(size, max(free/8, minSegmentSize))
	return align(max(size, headerSize+int64(need))), nil
}

// Log is the write-ahead log of one member: hard states, entries and snapshot
// markers. It is not safe for concurrent use. After any failure it is dead:
// every later call returns the error of the first.
type Log struct {
	fsys     vfs.FS
	opts     Options
	identity Identity

	file     vfs.File
	head     segmentHeader // of the current segment
	segments []segmentInfo // oldest first; the last is the current one
	places   places        // of the durable entries
	offset   int64         // where the next record goes
	chain    uint32        // CRC of the record before it

	buf     []byte // room for a record header, then the buffered payload
	top     uint64 // highest entry index in buf
	low     uint64 // lowest in buf after the last marker that restarted the log
	restart bool   // there is such a marker in buf
	pending logState
	durable logState // what is on disk; pending is ahead of it by buf
	history history  // follows pending
	written uint64   // bytes since the log was opened
	err     error

	spare        *Spare // becomes the next segment
	spareAwaited bool   // WantsSpare returned true, and TakeSpare was not called yet
	spareAsked   uint64 // the segment in which WantsSpare last returned true
	unnamed      bool   // the current segment was a spare, and awaits publish
}

// Reach is how far a log reaches.
type Reach struct {
	// Term and Commit are those of the hard state.
	Term, Commit uint64
	// Last and LastTerm are the index and the term of the last entry, which may be that of
	// a snapshot; 0 if there is none.
	Last, LastTerm uint64
}

type logState struct {
	hardState hardState
	snapshot  uint64 // newest snapshot index
	last      uint64 // last entry index
	lastTerm  uint64 // its term
}

type segmentInfo struct {
	seq uint64
	top uint64 // highest entry index inside
}

// Create begins the log of a new member, in the term of the cluster it joins, or in
// term 0 if it founds one: the log tells the two apart from the start. It fails with
// fs.ErrExist when the directory holds a segment or a snapshot already.
func Create(fsys vfs.FS, id Identity, term uint64, opts Options) (*Log, error) {
	names, err := fsys.List()
	if err != nil {
		return nil, fmt.Errorf("wal: list directory: %w", err)
	}
	for _, name := range names {
		if kind := kindOf(name); kind == segmentFile || kind == snapshotFile {
			return nil, fmt.Errorf("wal: create log: %s: %w", name, fs.ErrExist)
		}
	}
	l := &Log{fsys: fsys, opts: opts, identity: id}
	l.durable.hardState.term = term
	l.pending = l.durable
	if err := l.begin(segmentHeader{seq: 1, first: 1, state: l.durable.hardState}, 0); err != nil {
		return nil, err
	}
	return l, nil
}

// Append buffers hs, then snap, then ents for the next Sync; hs and snap may
// be nil. Entries at or before the last index truncate the log from their
// index on. Entries that leave a gap, or a batch over 1 GiB, make the next
// Sync fail. The arguments are copied.
func (l *Log) Append(hs *raftpb.HardState, ents []*raftpb.Entry, snap *raftpb.SnapshotMetadata) {
	if l.err != nil {
		return
	}
	size := len(l.buf)
	if size == 0 {
		size = recordHeaderSize
	}
	size += hardStateSize + markerSize
	for _, e := range ents {
		size += entryHeaderSize + len(e.GetData())
	}
	if size > maxPayload {
		l.err = fmt.Errorf("wal: a batch of %d bytes is over the limit of %d", size, maxPayload)
		return
	}
	if len(l.buf) == 0 {
		l.buf = append(l.buf, make([]byte, recordHeaderSize)...)
	}
	if hs != nil {
		l.pending.hardState = hardState{term: hs.GetTerm(), vote: hs.GetVote(), commit: hs.GetCommit()}
		l.buf = appendHardState(l.buf, l.pending.hardState)
	}
	if snap != nil {
		id := snapshotID{index: snap.GetIndex(), term: snap.GetTerm()}
		if l.history.install(id) {
			l.restart, l.low = true, 0
		}
		l.pending.snapshot = max(l.pending.snapshot, id.index)
		l.buf = appendMarker(l.buf, id)
	}
	for _, e := range ents {
		if err := l.history.append(e.GetIndex(), e.GetTerm()); err != nil {
			l.err = fmt.Errorf("wal: append: %w", err)
			return
		}
		l.top = max(l.top, e.GetIndex())
		if l.low == 0 || e.GetIndex() < l.low {
			l.low = e.GetIndex()
		}
		l.buf = appendEntry(l.buf, e)
	}
	l.pending.last, l.pending.lastTerm = l.history.last, l.history.lastTerm()
}

// Durable returns how far the log reaches that a power cut would leave.
func (l *Log) Durable() Reach {
	return Reach{
		Term: l.durable.hardState.term, Commit: l.durable.hardState.commit,
		Last: l.durable.last, LastTerm: l.durable.lastTerm,
	}
}

// Written returns how many bytes of records were written since the log was opened.
func (l *Log) Written() uint64 { return l.written }

// Segments returns how many segment files the log has.
func (l *Log) Segments() int { return len(l.segments) }

// Buffered reports whether Sync has something to write.
func (l *Log) Buffered() bool { return len(l.buf) > recordHeaderSize }

// Sync makes everything buffered durable as one record: one write, one
// fdatasync, in a new segment when the current one is full. When it fails,
// what was buffered may or may not be there after a restart.
func (l *Log) Sync() error {
	if l.err != nil {
		return l.err
	}
	if !l.Buffered() {
		return nil
	}
	if err := l.write(); err != nil {
		l.err = err
		return err
	}
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	l.buf, l.top, l.low, l.restart = l.buf[:0], 0, 0, false
	l.durable = l.pending
	return nil
}

func (l *Log) write() error {
	size := recordSize(len(l.buf) - recordHeaderSize)
	if l.offset+int64(size) > l.head.size {
		if err := l.roll(size); err != nil {
			return err
		}
	}
	record, chain := sealRecord(l.buf, l.head.crc, l.chain, l.offset)
	l.buf = record
	if _, err := l.file.WriteAt(record, l.offset); err != nil {
		return fmt.Errorf("wal: write segment %s: %w", segmentName(l.head.seq), err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("wal: sync segment %s: %w", segmentName(l.head.seq), err)
	}
	if l.unnamed {
		if err := l.publish(); err != nil {
			return err
		}
	}
	l.place()
	l.offset += int64(size)
	l.written += uint64(size)
	l.chain = chain
	current := &l.segments[len(l.segments)-1]
	current.top = max(current.top, l.top)
	return nil
}

// place adds the record that was just written to places.
func (l *Log) place() {
	if l.restart {
		l.places = nil
	}
	if l.low > 0 {
		l.places.note(place{index: l.low, seq: l.head.seq, seed: l.head.crc, offset: l.offset, chain: l.chain}, l.durable.last)
	}
}

// roll seals the current segment and begins the next, with room for a record
// of need bytes.
func (l *Log) roll(need int) error {
	old := l.file
	err := l.begin(segmentHeader{
		seq:      l.head.seq + 1,
		first:    l.durable.last + 1,
		state:    l.durable.hardState,
		previous: l.chain,
	}, need)
	if err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("wal: close segment: %w", err)
	}
	return nil
}

// begin makes the segment that h describes, with room for a record of need bytes, the
// current one: the spare, if there is one, or a new file.
func (l *Log) begin(h segmentHeader, need int) error {
	h.identity = l.identity
	f, err := l.newSegment(&h, need)
	if err != nil {
		return err
	}
	l.file, l.head = f, h
	l.offset, l.chain = headerSize, h.crc
	l.segments = append(l.segments, segmentInfo{seq: h.seq})
	return nil
}

func (l *Log) newSegment(h *segmentHeader, need int) (f vfs.File, err error) {
	if l.spareFits(need) {
		if f, err = l.beginSpare(h); err != nil {
			err = fmt.Errorf("wal: begin segment %s: %w", segmentName(h.seq), err)
		}
		return f, err
	}
	if h.size, err = l.opts.segmentSize(l.fsys, need); err != nil {
		return nil, err
	}
	return createSegment(l.fsys, h)
}

// Release drops the oldest segments from the log that hold no entry after index, never the
// current one. The index must be covered by a snapshot whose marker is durable. The results
// have to be passed to RemoveSegments in the order of the calls.
func (l *Log) Release(index uint64) (Released, error) {
	if l.err != nil {
		return nil, l.err
	}
	if index > l.durable.snapshot {
		return nil, fmt.Errorf("wal: release up to %d: the newest durable snapshot is at %d", index, l.durable.snapshot)
	}
	var released Released
	for len(l.segments) > 1 && l.segments[0].top <= index {
		released = append(released, l.segments[0].seq)
		l.segments = l.segments[1:]
	}
	l.places = l.places.since(l.segments[0].seq)
	return released, nil
}

// Released lists segments that are no longer part of the log, oldest first.
type Released []uint64

// RemoveSegments removes released segments, and may do so while the Log is in use. Each
// removal is durable before the next: a power cut may undo any subset of those that are not
// synced, and a gap would look like a loss.
func RemoveSegments(fsys vfs.FS, released Released) error {
	for _, seq := range released {
		err := fsys.Remove(segmentName(seq))
		if err == nil {
			err = fsys.SyncDir()
		}
		if err != nil {
			return fmt.Errorf("wal: remove segment %s: %w", segmentName(seq), err)
		}
	}
	return nil
}

// Close syncs what is buffered and closes the segment. It returns the error
// the Log died of, if it did.
func (l *Log) Close() error {
	err := l.Sync()
	if l.file != nil {
		if cerr := l.file.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("wal: close segment: %w", cerr)
		}
		l.file = nil
	}
	if l.spare != nil {
		_ = l.spare.file.Close()
		if err == nil {
			_ = l.fsys.Remove(spareName)
		}
		l.spare = nil
	}
	if l.err == nil {
		l.err = ErrClosed
	}
	return err
}

// readFull fills b from offset.
func readFull(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
