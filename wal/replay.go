package wal

import (
	"bytes"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/vfs"
)

// replay accumulates the records of all segments.
type replay struct {
	names    []uint64 // sequence numbers of the segments
	snapshot uint64   // entries up to here are not kept

	state       hardState
	history     history
	places      places
	entries     []*raftpb.Entry // the newest
	bytes       int             // their footprint
	keep        int             // bound of bytes; 0: none
	confChanges []*raftpb.Entry // all of them
	top         uint64          // highest entry index in the segment being read
	low         uint64          // lowest entry index in the record being read, 0 if it has none

	data    []byte // of the segment being read
	dirty   int64  // what of data may not be zeros
	final   []byte // the last record of the segment being read, nil if there is none
	finalAt int64  // its offset
	torn    *TornTail
	short   bool // the last segment lost part of its zero tail
}

// run reads all segments and leaves the last one open as l's current one.
func (rp *replay) run(fsys vfs.FS, l *Log) error {
	for i, seq := range rp.names {
		last := i == len(rp.names)-1
		if err := rp.segment(fsys, l, seq, last); err != nil {
			return err
		}
	}
	return nil
}

func (rp *replay) segment(fsys vfs.FS, l *Log, seq uint64, last bool) error {
	name := segmentName(seq)
	f, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("wal: segment %s: %w", name, err)
	}
	if last {
		l.file = f
	} else {
		defer f.Close()
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("wal: segment %s: %w", name, err)
	}
	used, err := usedLength(f, size)
	if err != nil {
		return fmt.Errorf("wal: segment %s: %w", name, err)
	}
	data := rp.room(size, used)
	if err := readFull(f, data[:used], 0); err != nil {
		return fmt.Errorf("wal: segment %s: %w", name, err)
	}
	h, err := decodeHeader(name, data)
	if err != nil {
		return err
	}
	if err := rp.follows(l, h); err != nil {
		return err
	}
	if l.offset, l.chain, err = rp.records(h, data); err != nil {
		return err
	}
	if err := rp.tail(h, data, l.offset, used, last); err != nil {
		return err
	}
	l.head = h
	l.segments = append(l.segments, segmentInfo{seq: seq, top: rp.top})
	return nil
}

// room returns size bytes of memory, which all segments share: zeros from used on. Of those only
// what the segment before has left is cleared: new memory is zeros, and most of it is never touched.
func (rp *replay) room(size, used int64) []byte {
	if int64(cap(rp.data)) < size {
		rp.data, rp.dirty = make([]byte, size), 0
	}
	if used < rp.dirty {
		clear(rp.data[used:rp.dirty])
	}
	rp.dirty = used
	return rp.data[:size]
}

// follows checks that a segment continues the one read before it.
func (rp *replay) follows(l *Log, h segmentHeader) error {
	name := segmentName(h.seq)
	bad := func(reason string) error { return &CorruptError{File: name, Reason: reason} }
	if h.identity != l.identity {
		return fmt.Errorf("%w: segment %s is of member %016x of cluster %016x, the log is of member %016x of cluster %016x", ErrForeign,
			name, h.identity.MemberID, h.identity.ClusterID, l.identity.MemberID, l.identity.ClusterID)
	}
	if len(l.segments) == 0 {
		if h.seq == 1 && (h.first != 1 || h.previous != 0) {
			return bad("the first segment does not begin at entry 1")
		}
		rp.state = h.state
		rp.history = history{base: h.first - 1, last: h.first - 1}
		return nil
	}
	switch {
	case h.previous != l.chain:
		return &CorruptError{File: segmentName(l.head.seq), Offset: l.offset,
			Reason: "its records do not reach the beginning of the next segment"}
	case h.first > rp.history.last+1 || h.state != rp.state:
		return bad("the segment header disagrees with the records before it")
	}
	// Replay may begin after segments that were released, and then does not
	// know that a snapshot marker at an index before them emptied the log.
	rp.history.truncate(h.first)
	rp.places = rp.places.before(h.first)
	rp.truncate(h.first)
	return nil
}

// records replays the valid records of a segment and returns where they end
// and the chain CRC there.
func (rp *replay) records(h segmentHeader, data []byte) (offset int64, chain uint32, err error) {
	rp.top, rp.final = 0, nil
	offset, chain = headerSize, h.crc
	for {
		payload, size, next, ok := validRecord(data[offset:], h.crc, chain, offset)
		if !ok {
			return offset, chain, nil
		}
		last := rp.history.last
		rp.low = 0
		if err := decodeBatch(payload, rp); err != nil {
			return 0, 0, &CorruptError{File: segmentName(h.seq), Offset: offset, Reason: err.Error()}
		}
		if rp.low > 0 {
			rp.places.note(place{index: rp.low, seq: h.seq, seed: h.crc, offset: offset, chain: chain}, last)
		}
		rp.final, rp.finalAt = data[offset:offset+int64(size)], offset
		offset, chain = offset+int64(size), next
	}
}

// tail decides what the bytes after the last valid record are: damage, a torn tail, or
// nothing. From used on they are zeros.
func (rp *replay) tail(h segmentHeader, data []byte, offset, used int64, last bool) error {
	bad := func(reason string) error {
		return &CorruptError{File: segmentName(h.seq), Offset: offset, Reason: reason}
	}
	end := max(offset, used)
	if after, found := recordAfter(data, h.crc, offset, end); found {
		return bad(fmt.Sprintf("the record there is damaged, but the one at offset %d is not, so this is no unfinished write", after))
	}
	if !last {
		// What follows the records does not matter if they are all there, which the header of
		// the next segment proves: it may be a torn tail whose zeros a failed sync has lost.
		return nil
	}
	if int64(len(data)) < h.size {
		// Eight zero bytes cannot be the beginning of a record: nothing was
		// ever written here.
		if end > offset || int64(len(data)) < offset+recordAlign && offset < h.size {
			return bad(fmt.Sprintf("the file was cut to %d bytes of %d, and records may have been lost", len(data), h.size))
		}
		rp.short = true
		return nil
	}
	if end > offset {
		rp.torn = &TornTail{File: segmentName(h.seq), Offset: offset, Bytes: end - offset}
	}
	return nil
}

// usedLength returns the length of the file without the zeros at its end. Most of a segment
// may be zeros, so they are compared in blocks, and not kept.
func usedLength(f vfs.File, size int64) (int64, error) {
	const block = 64 << 10
	zeros, b := make([]byte, block), make([]byte, block)
	for end := size; end > 0; {
		start := (end - 1) / block * block
		b = b[:end-start]
		if err := readFull(f, b, start); err != nil {
			return 0, err
		}
		if !bytes.Equal(b, zeros[:len(b)]) {
			return start + int64(len(bytes.TrimRight(b, "\x00"))), nil
		}
		b, end = b[:block], start
	}
	return 0, nil
}

func (rp *replay) hardState(hs hardState) { rp.state = hs }

func (rp *replay) marker(id snapshotID) {
	if rp.history.install(id) {
		rp.entries, rp.bytes, rp.confChanges = nil, 0, nil
		rp.places, rp.low = nil, 0
	}
}

// truncate drops the kept entries at and after index.
func (rp *replay) truncate(index uint64) {
	for n := len(rp.entries); n > 0 && rp.entries[n-1].GetIndex() >= index; n-- {
		rp.bytes -= footprint(rp.entries[n-1])
		rp.entries = rp.entries[:n-1]
	}
	for n := len(rp.confChanges); n > 0 && rp.confChanges[n-1].GetIndex() >= index; n-- {
		rp.confChanges = rp.confChanges[:n-1]
	}
}

func (rp *replay) entry(index, term uint64, typ raftpb.EntryType, data []byte) error {
	if err := rp.history.append(index, term); err != nil {
		return err
	}
	rp.top = max(rp.top, index)
	if rp.low == 0 || index < rp.low {
		rp.low = index
	}
	rp.truncate(index)
	if index <= rp.snapshot {
		return nil
	}
	e := newEntry(index, term, typ, data)
	if typ != raftpb.EntryNormal {
		rp.confChanges = append(rp.confChanges, e)
	}
	rp.entries = append(rp.entries, e)
	rp.bytes += footprint(e)
	for rp.keep > 0 && rp.bytes > rp.keep && len(rp.entries) > 1 {
		rp.bytes -= footprint(rp.entries[0])
		rp.entries[0] = nil
		rp.entries = rp.entries[1:]
	}
	return nil
}

// entryOverhead is what an entry needs in memory besides its data, in bytes.
const entryOverhead = 128

func footprint(e *raftpb.Entry) int { return entryOverhead + len(e.GetData()) }

// ownEntry keeps an entry and what it points to in one allocation.
type ownEntry struct {
	raftpb.Entry
	index, term uint64
	typ         raftpb.EntryType
}

// newEntry copies an entry out of a record.
func newEntry(index, term uint64, typ raftpb.EntryType, data []byte) *raftpb.Entry {
	e := &ownEntry{index: index, term: term, typ: typ}
	e.Entry.Index, e.Entry.Term, e.Entry.Type = &e.index, &e.term, &e.typ
	if len(data) > 0 {
		e.Entry.Data = append([]byte(nil), data...)
	}
	return &e.Entry
}
