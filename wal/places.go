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
	// placeEvery is how many bytes of records there are between two places at most, but for
	// one that is longer.
	placeEvery = 1 << 20
	// extentPlaces bounds an Extent.
	extentPlaces = 32
	// readWindow is how much of a segment is read at once.
	readWindow = 1 << 20
)

// place is where the entries from an index on begin: those before the next place stand
// behind it, in the same segment. Whatever else stands there was overwritten.
type place struct {
	index  uint64
	seq    uint64
	seed   uint32 // CRC of the header of the segment
	offset int64  // of a record
	chain  uint32 // CRC of the record before
}

// places is a sparse index of the log, in ascending order. Writing and replaying keep it by
// the same rules.
type places []place

// note takes a record whose lowest entry is at p.index, into a log that ended at last.
func (ps *places) note(p place, last uint64) {
	*ps = ps.upTo(p.index)
	n := len(*ps)
	if p.index > last && n > 0 {
		if before := (*ps)[n-1]; before.seq == p.seq && p.offset-before.offset < placeEvery {
			return
		}
	}
	*ps = append(*ps, p)
}

// upTo is without the places of entries at and after index.
func (ps places) upTo(index uint64) places {
	n := len(ps)
	for n > 0 && ps[n-1].index >= index {
		n--
	}
	return ps[:n]
}

// since is without the places in segments before seq.
func (ps places) since(seq uint64) places {
	n := 0
	for n < len(ps) && ps[n].seq < seq {
		n++
	}
	return slices.Clone(ps[n:])
}

// First is the index of the oldest entry that is in the segments; that of the next one if
// there is none.
func (l *Log) First() uint64 {
	if len(l.places) == 0 {
		return l.durable.last + 1
	}
	return l.places[0].index
}

// Extent is a part of the log: durable entries, and where they are. Others may read it while
// the log goes on. What it has may be overwritten meanwhile in the log, but not on the disk.
type Extent struct {
	from, to uint64 // the entries from one index up to another
	places   []place
}

// Extent is of the entries from an index on, not necessarily of all. ok is false if the log
// does not have, or no longer has, that entry.
func (l *Log) Extent(from uint64) (x Extent, ok bool) {
	if from < l.First() || from > l.durable.last {
		return Extent{}, false
	}
	x = Extent{from: from, to: l.durable.last + 1}
	first := len(l.places.upTo(from+1)) - 1
	x.places = l.places[first:]
	if len(x.places) > extentPlaces {
		x.places, x.to = x.places[:extentPlaces], x.places[extentPlaces].index
	}
	x.places = slices.Clone(x.places)
	return x, true
}

// Read returns the first entries of the extent: one, and more as long as they do not have
// more than so many bytes together. Besides these it keeps no more in memory than the
// longest record. It fails with fs.ErrNotExist when a segment was removed meanwhile, and
// with a *CorruptError when what was durable is no longer there.
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

// collector keeps the entries from next up to stop.
type collector struct {
	next, stop uint64
	room       int
	full       bool
	entries    []*raftpb.Entry
	record     int // how many entries there were before the present record
}

// read collects from one place on.
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
			return &CorruptError{File: name, Offset: r.offset, Reason: fmt.Sprintf("entry %d was there, and is not any more", c.next)}
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

// entry keeps an entry that comes next. Those at and after its index that the present record
// has brought are overwritten by it.
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

// cut leaves away what is too much, when all of a record is known.
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

// next returns the payload of the next record, until the next call; nil if there is none.
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
	payload, size, chain, ok := soundRecord(r.window, r.seed, r.chain, r.offset)
	if !ok {
		return nil, nil
	}
	r.window, r.chain, r.offset = r.window[size:], chain, r.offset+int64(size)
	return payload, nil
}

// fill has the window be need bytes long at least, unless the file ends; if it is not, want.
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
