package wal

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/vfs"
)

const (
	// placeEvery bounds the bytes of records between two places, unless a single record is
	// longer.
	placeEvery = 1 << 20
	// extentPlaces bounds the places of an Extent.
	extentPlaces = 32
	// readWindow is how much of a segment is read at once, in bytes.
	readWindow = 1 << 20
)

// place locates the entries from index on: those before the next place follow it in the same
// segment. Any other entries found there were overwritten.
type place struct {
	index  uint64
	seq    uint64
	seed   uint32 // CRC of the header of the segment
	offset int64  // of a record
	chain  uint32 // CRC of the record before
}

// places is a sparse index of the log, in ascending order. Append and replay maintain it by
// the same rules.
type places []place

// note adds the record at p, whose lowest entry is p.index, to the places of a log that
// ended at last.
func (ps *places) note(p place, last uint64) {
	*ps = ps.before(p.index)
	n := len(*ps)
	if p.index > last && n > 0 {
		if before := (*ps)[n-1]; before.seq == p.seq && p.offset-before.offset < placeEvery {
			return
		}
	}
	*ps = append(*ps, p)
}

// before returns the places of the entries before index.
func (ps places) before(index uint64) places {
	n := len(ps)
	for n > 0 && ps[n-1].index >= index {
		n--
	}
	return ps[:n]
}

// since returns the places in the segments from seq on.
func (ps places) since(seq uint64) places {
	n := 0
	for n < len(ps) && ps[n].seq < seq {
		n++
	}
	return slices.Clone(ps[n:])
}

// First returns the index of the oldest entry in the segments, or of the next one if there
// is none.
func (l *Log) First() uint64 {
	if len(l.places) == 0 {
		return l.durable.last + 1
	}
	return l.places[0].index
}

// Extent is a range of durable entries, and where they are on disk. It may be read while the
// Log is in use: an append may replace its entries in the log, but not overwrite their bytes.
type Extent struct {
	from, to uint64 // indexes; to is excluded
	places   []place
}

// Extent returns the entries from an index on, but not necessarily all of them. ok is false
// if the log does not have, or no longer has, that entry.
func (l *Log) Extent(from uint64) (x Extent, ok bool) {
	if from < l.First() || from > l.durable.last {
		return Extent{}, false
	}
	x = Extent{from: from, to: l.durable.last + 1}
	first := len(l.places.before(from+1)) - 1
	x.places = l.places[first:]
	if len(x.places) > extentPlaces {
		x.places, x.to = x.places[:extentPlaces], x.places[extentPlaces].index
	}
	x.places = slices.Clone(x.places)
	return x, true
}

// Read returns the first entries of the extent: at least one, and more while their data is
// no more than the given bytes together. Besides these it keeps no more in memory than the
// longest record. It fails with fs.ErrNotExist when a segment was removed meanwhile, and
// with a *CorruptError when durable entries are missing.
func (x Extent) Read(fsys vfs.FS, bytes int) (entries []*raftpb.Entry, err error) {
	c := &collector{next: x.from, room: bytes}
	for i, p := range x.places {
		c.stop = x.to
		if i+1 < len(x.places) {
			c.stop = x.places[i+1].index
		}
		if err := c.read(fsys, p); err != nil {
			return nil, err
		}
		if c.full {
			break
		}
	}
	return c.entries, nil
}

// collector keeps the entries from next on, before stop.
type collector struct {
	next, stop uint64
	room       int
	full       bool
	entries    []*raftpb.Entry
	record     int // len(entries) before the current record
}

// read collects entries from a place on.
func (c *collector) read(fsys vfs.FS, p place) error {
	name := segmentName(p.seq)
	f, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("wal: segment %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("wal: segment %s: %w", name, err)
	}
	r := recordReader{file: f, size: size, seed: p.seed, chain: p.chain, offset: p.offset}
	for c.next < c.stop && !c.full {
		payload, err := r.next()
		if err != nil {
			return fmt.Errorf("wal: segment %s: %w", name, err)
		}
		if payload == nil {
			return &CorruptError{File: name, Offset: r.offset, Reason: fmt.Sprintf("entry %d was durable, and is missing now", c.next)}
		}
		c.record = len(c.entries)
		if err := decodeBatch(payload, c); err != nil {
			return &CorruptError{File: name, Offset: r.offset, Reason: err.Error()}
		}
		c.cut()
	}
	return nil
}

func (c *collector) hardState(hardState) {}

func (c *collector) marker(snapshotID) {}

// entry keeps an entry if it is the next one. It overwrites those at and after its index that
// the current record has brought.
func (c *collector) entry(index, term uint64, typ raftpb.EntryType, data []byte) error {
	if index < c.next {
		n := min(len(c.entries)-c.record, int(c.next-index))
		c.entries = c.entries[:len(c.entries)-n]
		c.next -= uint64(n)
	}
	if index == c.next && index < c.stop {
		c.entries = append(c.entries, newEntry(index, term, typ, data))
		c.next++
	}
	return nil
}

// cut drops the entries over the limit. It is called between records, because within one a
// later entry may overwrite an earlier one.
func (c *collector) cut() {
	for i, e := range c.entries[c.record:] {
		c.room -= len(e.GetData())
		if at := c.record + i; c.room < 0 && at > 0 {
			c.entries, c.full = c.entries[:at], true
			return
		}
	}
	c.full = c.room <= 0
}

// recordReader reads the records of a segment one after the other.
type recordReader struct {
	file        io.ReaderAt
	size        int64 // of the file
	seed, chain uint32
	offset      int64
	window      []byte // of the file, from offset on
	buf         []byte
}

// next returns the payload of the next record, which is valid until the next call; nil if
// there is none.
func (r *recordReader) next() ([]byte, error) {
	if err := r.fill(recordHeaderSize, readWindow); err != nil {
		return nil, err
	}
	if len(r.window) < recordHeaderSize {
		return nil, nil
	}
	if n := int64(binary.LittleEndian.Uint32(r.window)); n <= maxPayload {
		size := int64(recordSize(int(n)))
		if err := r.fill(size, max(size, readWindow)); err != nil {
			return nil, err
		}
	}
	payload, size, chain, ok := validRecord(r.window, r.seed, r.chain, r.offset)
	if !ok {
		return nil, nil
	}
	r.window, r.chain, r.offset = r.window[size:], chain, r.offset+int64(size)
	return payload, nil
}

// fill makes sure that the window has at least need bytes, unless the file ends. If it has to
// read, it reads want bytes.
func (r *recordReader) fill(need, want int64) error {
	if int64(len(r.window)) >= need {
		return nil
	}
	want = max(0, min(want, r.size-r.offset))
	if int64(cap(r.buf)) < want {
		r.buf = make([]byte, want)
	}
	n, err := r.file.ReadAt(r.buf[:want], r.offset)
	if err != nil && err != io.EOF {
		return err
	}
	r.window = r.buf[:n]
	return nil
}
