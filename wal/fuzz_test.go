package wal

import (
	"bytes"
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
)

// seedLog returns a directory with one segment of every kind of item.
func seedLog(tb testing.TB) *driver {
	d := mustDriver(tb)
	d.write(tb, 1, 1, 3)
	must(tb, d.snapshot(snapshotID{2, 1}))
	d.entry(4, 2, "last")
	must(tb, d.sync())
	return d
}

// encodeVisitor encodes the items that it visits.
type encodeVisitor struct{ b []byte }

func (v *encodeVisitor) hardState(hs hardState) { v.b = appendHardState(v.b, hs) }
func (v *encodeVisitor) marker(id snapshotID)   { v.b = appendMarker(v.b, id) }
func (v *encodeVisitor) entry(index, term uint64, typ raftpb.EntryType, data []byte) error {
	v.b = appendEntry(v.b, &raftpb.Entry{Index: &index, Term: &term, Type: &typ, Data: data})
	return nil
}

// FuzzBatch: what decodes encodes to the same bytes, and replaying it neither
// panics nor ends with entries out of order.
func FuzzBatch(f *testing.F) {
	b := appendHardState(nil, hardState{1, 2, 3})
	b = appendMarker(b, snapshotID{7, 1})
	f.Add(appendEntry(b, &raftpb.Entry{Index: new(uint64(8)), Term: new(uint64(2)), Data: []byte("data")}))
	f.Add([]byte{itemEntry})
	f.Fuzz(func(t *testing.T, payload []byte) {
		v := &encodeVisitor{}
		if err := decodeBatch(payload, v); err != nil {
			return
		}
		if !bytes.Equal(v.b, payload) {
			t.Fatalf("%x encodes to %x", payload, v.b)
		}
		rp := &replay{}
		if err := decodeBatch(payload, rp); err != nil {
			return
		}
		for i, e := range rp.entries {
			if e.GetIndex() != rp.history.base+1+uint64(i) {
				t.Fatalf("entry %d stands at place %d after %d", e.GetIndex(), i, rp.history.base)
			}
		}
	})
}

// FuzzRecord: an accepted record lies within the data, and is refused after
// another record or with any byte changed.
func FuzzRecord(f *testing.F) {
	sealed, _ := sealRecord(append(make([]byte, recordHeaderSize), "payload"...), 1, 2, headerSize)
	f.Add(sealed, uint32(1), uint32(2))
	f.Add(sealed, uint32(2), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, segment, chain uint32) {
		data := append(make([]byte, headerSize), b...)
		accepted := func(chain uint32) bool {
			_, _, _, ok := validRecord(data[headerSize:], segment, chain, headerSize)
			return ok
		}
		payload, size, _, ok := validRecord(data[headerSize:], segment, chain, headerSize)
		if !ok {
			return
		}
		if recordSize(len(payload)) != size || size > len(b) {
			t.Fatalf("a payload of %d bytes in a record of %d, out of %d", len(payload), size, len(b))
		}
		if accepted(chain ^ 1) {
			t.Fatalf("%x is accepted after another record too", b)
		}
		for i := range data[headerSize : headerSize+size] {
			data[headerSize+i] ^= 0x40
			if accepted(chain) {
				t.Fatalf("%x is accepted with byte %d changed", b, i)
			}
			data[headerSize+i] ^= 0x40
		}
	})
}

// FuzzSegment: any bytes in place of the only segment open or are refused, and
// what opens does so again with the same entries.
func FuzzSegment(f *testing.F) {
	d := seedLog(f)
	whole := d.fs.Content(segmentName(1))
	f.Add(whole)
	f.Add(whole[:d.log.offset-3])
	f.Add(whole[:headerSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := crashfs.New()
		fsys.Put(segmentName(1), data)
		log, rec, err := Open(fsys, testOptions)
		if err != nil {
			return
		}
		must(t, log.Close())
		log, again, err := Open(fsys, testOptions)
		must(t, err)
		must(t, log.Close())
		if again.Torn != nil || len(again.Entries) != len(rec.Entries) {
			t.Fatalf("opened with %d entries, then with %d, torn tail %v", len(rec.Entries), len(again.Entries), again.Torn)
		}
	})
}

// FuzzSnapshot: any bytes in place of a snapshot are read to a valid end or
// refused with an error that says why.
func FuzzSnapshot(f *testing.F) {
	id := snapshotID{2, 1}
	d := seedLog(f)
	whole := d.fs.Content(id.name())
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:snapshotHeaderSize])
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := crashfs.New()
		fsys.Put(id.name(), data)
		got, err := readSnapshot(fsys, id)
		if err == nil {
			return
		}
		_, damaged := errors.AsType[*CorruptError](err)
		if !damaged && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrVersion) {
			t.Fatalf("%d bytes were read, then %v", len(got), err)
		}
	})
}
