package wal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/wal/vfs"
)

// snapshotReader reads the body of one snapshot file.
type snapshotReader struct {
	file  vfs.File
	name  string
	size  int64 // of the body, if the file is valid
	src   *bufio.Reader
	at    int64 // offset of the chunk being read
	chain uint32
	total uint64
	chunk []byte // chunk header and data
	rest  []byte // what of the chunk was not read yet
	err   error
}

// openSnapshot checks the header of a snapshot file and returns its metadata
// and body.
func openSnapshot(fsys vfs.FS, id snapshotID, cluster uint64) (*raftpb.SnapshotMetadata, *snapshotReader, error) {
	name := id.name()
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("wal: snapshot %s: %w", name, err)
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("wal: snapshot %s: %w", name, err)
	}
	r := &snapshotReader{file: f, name: name, src: bufio.NewReaderSize(io.NewSectionReader(f, 0, size), maxChunk)}
	meta, err := r.header(id, cluster)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return meta, r, nil
}

func (r *snapshotReader) damaged(reason string) error {
	return &CorruptError{File: r.name, Offset: r.at, Reason: reason}
}

// fill reads exactly len(b) bytes; whatever prevents that is damage.
func (r *snapshotReader) fill(b []byte) error {
	switch _, err := io.ReadFull(r.src, b); err {
	case nil:
		return nil
	case io.EOF, io.ErrUnexpectedEOF:
		return r.damaged("the file ends early")
	default:
		return r.damaged("it cannot be read: " + err.Error())
	}
}

func (r *snapshotReader) header(id snapshotID, cluster uint64) (*raftpb.SnapshotMetadata, error) {
	b := make([]byte, snapshotHeaderSize)
	if err := r.fill(b); err != nil {
		return nil, err
	}
	if !bytes.Equal(b[:8], []byte(snapshotMagic)) {
		return nil, r.damaged("it does not begin like a snapshot")
	}
	le := binary.LittleEndian
	n := le.Uint32(b[12:])
	if n > maxConfState {
		return nil, r.damaged("the membership is longer than the limit")
	}
	b = append(b, make([]byte, n+4)...)
	if err := r.fill(b[snapshotHeaderSize:]); err != nil {
		return nil, err
	}
	end := len(b) - 4
	if r.chain = le.Uint32(b[end:]); crc32.Checksum(b[:end], castagnoli) != r.chain {
		return nil, r.damaged("the checksum of the snapshot header does not match")
	}
	if v := le.Uint32(b[8:]); v != formatVersion {
		return nil, fmt.Errorf("%w: snapshot %s has format version %d, this program reads %d", ErrVersion, r.name, v, formatVersion)
	}
	if c := le.Uint64(b[16:]); c != cluster {
		return nil, fmt.Errorf("%w: snapshot %s is of cluster %016x, this is %016x", ErrForeign, r.name, c, cluster)
	}
	if (snapshotID{index: le.Uint64(b[24:]), term: le.Uint64(b[32:])}) != id {
		return nil, r.damaged("the snapshot header and the file name disagree")
	}
	conf := &raftpb.ConfState{}
	if err := proto.Unmarshal(b[snapshotHeaderSize:end], conf); err != nil {
		return nil, r.damaged("the membership does not decode: " + err.Error())
	}
	r.at = int64(len(b))
	var err error
	if r.size, err = r.bodySize(); err != nil {
		return nil, err
	}
	return &raftpb.SnapshotMetadata{ConfState: conf, Index: new(id.index), Term: new(id.term)}, nil
}

// bodySize is the total in the end mark, which is checked when the body is read.
func (r *snapshotReader) bodySize() (int64, error) {
	size, err := r.file.Size()
	if err != nil {
		return 0, fmt.Errorf("wal: snapshot %s: %w", r.name, err)
	}
	if size < r.at+endMarkSize {
		return 0, r.damaged("the file ends early")
	}
	b := make([]byte, 8)
	if _, err := r.file.ReadAt(b, size-8); err != nil {
		return 0, r.damaged("it cannot be read: " + err.Error())
	}
	total := binary.LittleEndian.Uint64(b)
	if total > uint64(size) {
		return 0, r.damaged("the length of the body does not match")
	}
	return int64(total), nil
}

func (r *snapshotReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads and checks one chunk; it returns io.EOF at a valid end.
func (r *snapshotReader) next() error {
	if r.chunk == nil {
		r.chunk = make([]byte, chunkHeaderSize+maxChunk)
	}
	head := r.chunk[:chunkHeaderSize]
	if err := r.fill(head); err != nil {
		return err
	}
	le := binary.LittleEndian
	n := le.Uint32(head)
	size := chunkHeaderSize + int(min(n, maxChunk+1))
	if n == 0 {
		size = endMarkSize
	} else if n > maxChunk {
		return r.damaged("a chunk is longer than the limit")
	}
	b := r.chunk[:size]
	if err := r.fill(b[chunkHeaderSize:]); err != nil {
		return err
	}
	if r.chain = chunkCRC(b, r.chain); r.chain != le.Uint32(b[4:]) {
		return r.damaged("the checksum of a chunk does not match")
	}
	r.at += int64(size)
	if n > 0 {
		r.total += uint64(n)
		r.rest = b[chunkHeaderSize:]
		return nil
	}
	if le.Uint64(b[chunkHeaderSize:]) != r.total {
		return r.damaged("the length of the body does not match")
	}
	if _, err := r.src.ReadByte(); err != io.EOF {
		return r.damaged("something follows the end")
	}
	return io.EOF
}

func (r *snapshotReader) Close() error { return r.file.Close() }
