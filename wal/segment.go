package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"etcd/wal/vfs"
)

// Identity says whose data a directory holds. It changes only by [Refound].
type Identity struct {
	ClusterID, MemberID uint64
	// FormerClusterID is the cluster that the member has left by [Refound]; 0: none.
	FormerClusterID uint64
}

const (
	formatVersion = 1
	segmentMagic  = "etcdwal\n"
	headerSize    = 96
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHeader begins every segment. The CRC at its end seeds the chain of
// the segment's records; because it covers the identity, the sequence number
// and the chain so far, no record of another file or another life of this file
// can follow from it.
type segmentHeader struct {
	identity Identity
	seq      uint64
	first    uint64 // index the next new entry had when the segment was begun
	state    hardState
	size     int64  // preallocated length of the file
	previous uint32 // chain CRC at the end of the segment before, 0 for the first
	crc      uint32
}

// hardState is raftpb.HardState by value.
type hardState struct{ term, vote, commit uint64 }

// encode returns the header's bytes and sets its CRC.
func (h *segmentHeader) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, headerSize)
	copy(b, segmentMagic)
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[12:], h.previous)
	for i, v := range []uint64{
		h.identity.ClusterID, h.identity.MemberID, h.seq, h.first,
		h.state.term, h.state.vote, h.state.commit, uint64(h.size),
	} {
		le.PutUint64(b[16+8*i:], v)
	}
	le.PutUint64(b[80:], h.identity.FormerClusterID)
	h.crc = crc32.Checksum(b[:headerSize-4], castagnoli)
	le.PutUint32(b[headerSize-4:], h.crc)
	return b
}

// decodeHeader reads the header of the segment file called name.
func decodeHeader(name string, b []byte) (segmentHeader, error) {
	bad := func(reason string) (segmentHeader, error) {
		return segmentHeader{}, &CorruptError{File: name, Reason: reason}
	}
	if len(b) < headerSize {
		return bad("the file is shorter than a segment header")
	}
	le := binary.LittleEndian
	u64 := func(off int) uint64 { return le.Uint64(b[off:]) }
	crc := le.Uint32(b[headerSize-4:])
	if !bytes.Equal(b[:8], []byte(segmentMagic)) {
		return bad("it does not begin like a segment")
	}
	if crc32.Checksum(b[:headerSize-4], castagnoli) != crc {
		return bad("the checksum of the segment header does not match")
	}
	if v := le.Uint32(b[8:]); v != formatVersion {
		return segmentHeader{}, fmt.Errorf("%w: segment %s has format version %d, this program reads %d", ErrVersion, name, v, formatVersion)
	}
	h := segmentHeader{
		previous: le.Uint32(b[12:]),
		identity: Identity{ClusterID: u64(16), MemberID: u64(24), FormerClusterID: u64(80)},
		seq:      u64(32),
		first:    u64(40),
		state:    hardState{term: u64(48), vote: u64(56), commit: u64(64)},
		size:     int64(u64(72)),
		crc:      crc,
	}
	switch {
	case name != segmentName(h.seq):
		return bad(fmt.Sprintf("the segment header says it is number %d", h.seq))
	case h.first == 0 || h.size < headerSize:
		return bad("the segment header makes no sense")
	}
	return h, nil
}

// readHeader reads only the header of a segment.
func readHeader(fsys vfs.FS, name string) (segmentHeader, error) {
	return readHeaderOf(fsys, name, name)
}

// readHeaderOf reads the header of the segment called name from a file that may have another
// name.
func readHeaderOf(fsys vfs.FS, file, name string) (segmentHeader, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return segmentHeader{}, fmt.Errorf("wal: segment %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return segmentHeader{}, fmt.Errorf("wal: segment %s: %w", name, err)
	}
	b := make([]byte, min(size, headerSize))
	if err := readFull(f, b, 0); err != nil {
		return segmentHeader{}, fmt.Errorf("wal: segment %s: %w", name, err)
	}
	return decodeHeader(name, b)
}

// createSegment writes a new segment and gives it its name only once it is
// durable, so a segment with its final name always has a whole header.
func createSegment(fsys vfs.FS, h *segmentHeader) (vfs.File, error) {
	name := segmentName(h.seq)
	f, err := writeSegment(fsys, h, name)
	if err != nil {
		return nil, fmt.Errorf("wal: create segment %s: %w", name, err)
	}
	return f, nil
}

func writeSegment(fsys vfs.FS, h *segmentHeader, name string) (vfs.File, error) {
	temp := name + tempSuffix
	f, err := allocate(fsys, temp, h.size)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(h.encode(), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = nameSegment(fsys, temp, name)
	}
	if err != nil {
		_ = f.Close()
		_ = removeIfExists(fsys, temp)
		return nil, err
	}
	return f, nil
}

// allocate creates a file of the given size, in place of what a crash may have left.
func allocate(fsys vfs.FS, name string, size int64) (vfs.File, error) {
	if err := removeIfExists(fsys, name); err != nil {
		return nil, err
	}
	f, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	if err := f.Allocate(size); err != nil {
		_ = f.Close()
		_ = fsys.Remove(name)
		return nil, err
	}
	return f, nil
}

// nameSegment gives a durable segment its final name.
func nameSegment(fsys vfs.FS, temp, name string) error {
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	if err := fsys.SyncDir(); err != nil {
		return err
	}
	return nil
}
