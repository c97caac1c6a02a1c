package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
)

const (
	recordHeaderSize = 16
	recordAlign      = 8
	recordBatch      = 1

	// maxPayload bounds what one Sync can make durable.
	maxPayload = 1 << 30

	itemHardState = 1
	itemEntry     = 2
	itemSnapshot  = 3

	hardStateSize   = 1 + 3*8
	entryHeaderSize = 1 + 8 + 8 + 1 + 4
	markerSize      = 1 + 2*8
)

// recordSize is the length of a record on disk, padding included.
func recordSize(payload int) int {
	return int(align(int64(recordHeaderSize + payload)))
}

// align rounds up to where a record may begin.
func align(n int64) int64 { return (n + recordAlign - 1) &^ (recordAlign - 1) }

// headerCheck covers the part of a record's header that gives its length, and
// its segment and offset. Recovery can therefore
// recognise a record without knowing the one before it, and bytes inside an
// entry cannot pass for one.
func headerCheck(head []byte, segment uint32, offset int64) uint32 {
	var b [16]byte
	copy(b[:8], head[:8])
	binary.LittleEndian.PutUint64(b[8:], uint64(offset))
	return crc32.Update(segment, castagnoli, b[:])
}

// sealRecord turns b, a gap of recordHeaderSize bytes followed by the payload,
// into a record for the given place. It returns the padded record and the
// chain CRC after it.
func sealRecord(b []byte, segment, chain uint32, offset int64) ([]byte, uint32) {
	payload := len(b) - recordHeaderSize
	for len(b) < recordSize(payload) {
		b = append(b, 0)
	}
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(payload))
	le.PutUint32(b[4:], recordBatch)
	le.PutUint32(b[8:], headerCheck(b, segment, offset))
	crc := recordCRC(b, chain)
	le.PutUint32(b[12:], crc)
	return b, crc
}

// recordCRC continues the chain over everything in the record but the CRC.
func recordCRC(b []byte, chain uint32) uint32 {
	return crc32.Update(crc32.Update(chain, castagnoli, b[:12]), castagnoli, b[recordHeaderSize:])
}

// recordAt returns the whole record at the start of b, which is at offset in its segment, or
// nil if there is no intact record header.
func recordAt(b []byte, segment uint32, offset int64) []byte {
	if len(b) < recordHeaderSize {
		return nil
	}
	le := binary.LittleEndian
	payload := le.Uint32(b)
	if payload > maxPayload || le.Uint32(b[4:]) != recordBatch {
		return nil
	}
	size := recordSize(int(payload))
	if size > len(b) || le.Uint32(b[8:]) != headerCheck(b, segment, offset) {
		return nil
	}
	return b[:size]
}

// validRecord returns the payload and the size of the record that b begins with and the
// chain CRC after it; ok is false when the record is absent or damaged.
func validRecord(b []byte, segment, chain uint32, offset int64) (payload []byte, size int, next uint32, ok bool) {
	record := recordAt(b, segment, offset)
	if record == nil {
		return nil, 0, 0, false
	}
	crc := binary.LittleEndian.Uint32(record[12:])
	if recordCRC(record, chain) != crc {
		return nil, 0, 0, false
	}
	n := binary.LittleEndian.Uint32(record)
	return record[recordHeaderSize : recordHeaderSize+int(n)], len(record), crc, true
}

// recordAfter returns the offset of the first record header past offset and
// before end.
func recordAfter(data []byte, segment uint32, offset, end int64) (int64, bool) {
	for off := offset + recordAlign; off < end; off += recordAlign {
		if recordAt(data[off:], segment, off) != nil {
			return off, true
		}
	}
	return 0, false
}

func appendHardState(b []byte, hs hardState) []byte {
	le := binary.LittleEndian
	b = append(b, itemHardState)
	b = le.AppendUint64(b, hs.term)
	b = le.AppendUint64(b, hs.vote)
	return le.AppendUint64(b, hs.commit)
}

func appendMarker(b []byte, id snapshotID) []byte {
	le := binary.LittleEndian
	b = append(b, itemSnapshot)
	b = le.AppendUint64(b, id.index)
	return le.AppendUint64(b, id.term)
}

func appendEntry(b []byte, e *raftpb.Entry) []byte {
	le := binary.LittleEndian
	b = append(b, itemEntry)
	b = le.AppendUint64(b, e.GetIndex())
	b = le.AppendUint64(b, e.GetTerm())
	b = append(b, byte(e.GetType()))
	b = le.AppendUint32(b, uint32(len(e.GetData())))
	return append(b, e.GetData()...)
}

// batchVisitor receives the items of a batch in order.
type batchVisitor interface {
	hardState(hs hardState)
	marker(id snapshotID)
	// entry is given data that is valid only during the call.
	entry(index, term uint64, typ raftpb.EntryType, data []byte) error
}

var errShortItem = errors.New("an item of the record ends early")

// decodeBatch walks the payload of a batch record.
func decodeBatch(b []byte, v batchVisitor) error {
	le := binary.LittleEndian
	for len(b) > 0 {
		switch b[0] {
		case itemHardState:
			if len(b) < hardStateSize {
				return errShortItem
			}
			v.hardState(hardState{term: le.Uint64(b[1:]), vote: le.Uint64(b[9:]), commit: le.Uint64(b[17:])})
			b = b[hardStateSize:]
		case itemSnapshot:
			if len(b) < markerSize {
				return errShortItem
			}
			v.marker(snapshotID{index: le.Uint64(b[1:]), term: le.Uint64(b[9:])})
			b = b[markerSize:]
		case itemEntry:
			if len(b) < entryHeaderSize {
				return errShortItem
			}
			n := le.Uint32(b[18:])
			if uint64(n) > uint64(len(b)-entryHeaderSize) {
				return errShortItem
			}
			data := b[entryHeaderSize : entryHeaderSize+int(n)]
			if err := v.entry(le.Uint64(b[1:]), le.Uint64(b[9:]), raftpb.EntryType(b[17]), data); err != nil {
				return err
			}
			b = b[entryHeaderSize+int(n):]
		default:
			return fmt.Errorf("the record holds an item of unknown kind %d", b[0])
		}
	}
	return nil
}
