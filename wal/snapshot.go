package wal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"syscall"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/wal/vfs"
)

const (
	snapshotMagic      = "etcdsnp\n"
	snapshotHeaderSize = 40 // up to the ConfState
	maxConfState       = 1 << 20
	chunkHeaderSize    = 8
	maxChunk           = 64 << 10
	endMarkSize        = chunkHeaderSize + 8
	// syncEvery is how many bytes of a snapshot are written between two syncs, so that the
	// last one is short, and the log's syncs do not wait behind the whole file.
	syncEvery = 4 << 20
)

type snapshotID struct{ index, term uint64 }

func (id snapshotID) name() string { return snapshotName(id.index, id.term) }

// newestFirst orders by index, then by term.
func newestFirst(a, b snapshotID) int {
	return cmp.Or(cmp.Compare(b.index, a.index), cmp.Compare(b.term, a.term))
}

// Snapshots keeps the snapshot files of one directory. One Save or Prune, one Receive, any
// number of Opens, and the Log of the same directory may be used concurrently.
type Snapshots struct {
	fsys    vfs.FS
	cluster uint64
}

// NewSnapshots returns the snapshots in fsys. Only the cluster of id matters:
// a snapshot may have come from another member.
func NewSnapshots(fsys vfs.FS, id Identity) *Snapshots {
	return &Snapshots{fsys: fsys, cluster: id.ClusterID}
}

// Save writes the snapshot that meta describes, with the body that write
// produces, and returns once it is durable under its final name, where it
// replaces one of the same index and term. On an error before that nothing
// but a temporary file was touched, and that is removed.
func (s *Snapshots) Save(meta *raftpb.SnapshotMetadata, write func(io.Writer) error) error {
	name := snapshotName(meta.GetIndex(), meta.GetTerm())
	if err := s.save(name, name+tempSuffix, meta, write); err != nil {
		return fmt.Errorf("wal: save snapshot %s: %w", name, err)
	}
	return nil
}

// Receive is Save for a snapshot from a peer, with a body of size bytes. The two may write
// one of the same index concurrently. It fails with syscall.ENOSPC before it takes the space
// that the log needs to go on, and with ErrTooLarge if there can never be enough. If write
// fails, the file never gets its final name, so write has to find out whether the body can
// be restored.
func (s *Snapshots) Receive(meta *raftpb.SnapshotMetadata, size int64, write func(io.Writer) error) error {
	name := snapshotName(meta.GetIndex(), meta.GetTerm())
	err := s.checkSpace(size)
	if err == nil {
		err = s.save(name, receivedPrefix+name+tempSuffix, meta, func(w io.Writer) error {
			return write(&spaceChecker{Writer: w, check: func() error { return s.checkSpace(0) }})
		})
	}
	if err != nil {
		return fmt.Errorf("wal: receive snapshot %s: %w", name, err)
	}
	return nil
}

// checkSpace fails unless a snapshot from a peer may take size bytes more. It must leave
// enough for a segment, or for several small ones on a small disk.
func (s *Snapshots) checkSpace(size int64) error {
	free, total, err := s.fsys.Space()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if size > total {
		return fmt.Errorf("%w: the snapshot needs %d bytes, and it has %d", ErrTooLarge, size, total)
	}
	if reserve := min(total/16, defaultSegmentSize); free-min(free, reserve) < size || free < reserve {
		return fmt.Errorf("%w: the snapshot needs %d more bytes, and of the %d that are free the log needs %d", syscall.ENOSPC, size, free, reserve)
	}
	return nil
}

// spaceChecker is a writer that checks every syncEvery bytes whether there is still space.
type spaceChecker struct {
	io.Writer
	check   func() error
	written int // since the last check, in bytes
}

func (s *spaceChecker) Write(p []byte) (int, error) {
	if s.written += len(p); s.written >= syncEvery {
		s.written = 0
		if err := s.check(); err != nil {
			return 0, err
		}
	}
	return s.Writer.Write(p)
}

func (s *Snapshots) save(name, temp string, meta *raftpb.SnapshotMetadata, write func(io.Writer) error) error {
	header, err := s.encodeHeader(meta)
	if err != nil {
		return err
	}
	if err := removeIfExists(s.fsys, temp); err != nil {
		return err
	}
	return vfs.Replace(s.fsys, temp, name, func(f vfs.File) error { return fillSnapshot(f, header, write) })
}

func (s *Snapshots) encodeHeader(meta *raftpb.SnapshotMetadata) ([]byte, error) {
	conf, err := proto.MarshalOptions{Deterministic: true}.Marshal(meta.GetConfState())
	if err != nil {
		return nil, err
	}
	if len(conf) > maxConfState {
		return nil, fmt.Errorf("membership of %d bytes is over the limit of %d", len(conf), maxConfState)
	}
	le := binary.LittleEndian
	b := []byte(snapshotMagic)
	b = le.AppendUint32(b, formatVersion)
	b = le.AppendUint32(b, uint32(len(conf)))
	b = le.AppendUint64(b, s.cluster)
	b = le.AppendUint64(b, meta.GetIndex())
	b = le.AppendUint64(b, meta.GetTerm())
	b = append(b, conf...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

func fillSnapshot(f vfs.File, header []byte, write func(io.Writer) error) error {
	if _, err := f.WriteAt(header, 0); err != nil {
		return err
	}
	w := &chunkWriter{
		file:   f,
		offset: int64(len(header)),
		chain:  binary.LittleEndian.Uint32(header[len(header)-4:]),
		buf:    make([]byte, chunkHeaderSize, chunkHeaderSize+maxChunk),
	}
	if err := write(w); err != nil {
		return err
	}
	return w.end()
}

// chunkWriter cuts what is written into checksummed chunks.
type chunkWriter struct {
	file   vfs.File
	offset int64
	synced int64 // up to here
	chain  uint32
	total  uint64
	buf    []byte // room for a chunk header, then its data
	err    error
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && w.err == nil {
		n := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p, written = p[n:], written+n
		if len(w.buf) == cap(w.buf) {
			w.flush()
		}
	}
	return written, w.err
}

func (w *chunkWriter) flush() {
	n := len(w.buf) - chunkHeaderSize
	if n == 0 || w.err != nil {
		return
	}
	w.total += uint64(n)
	binary.LittleEndian.PutUint32(w.buf, uint32(n))
	w.emit()
}

// emit completes buf, whose length field is set, with its CRC and writes it.
func (w *chunkWriter) emit() {
	w.chain = chunkCRC(w.buf, w.chain)
	binary.LittleEndian.PutUint32(w.buf[4:], w.chain)
	_, w.err = w.file.WriteAt(w.buf, w.offset)
	w.offset += int64(len(w.buf))
	w.buf = w.buf[:chunkHeaderSize]
	if w.err == nil && w.offset-w.synced >= syncEvery {
		w.synced, w.err = w.offset, w.file.Sync()
	}
}

// end writes the last chunk and the end mark.
func (w *chunkWriter) end() error {
	w.flush()
	if w.err != nil {
		return w.err
	}
	binary.LittleEndian.PutUint32(w.buf, 0)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.total)
	w.emit()
	return w.err
}

// chunkCRC continues the chain over everything in the chunk but the CRC.
func chunkCRC(b []byte, chain uint32) uint32 {
	return crc32.Update(crc32.Update(chain, castagnoli, b[:4]), castagnoli, b[chunkHeaderSize:])
}

// Open returns the body of a snapshot and its length in bytes. It is checked while it is
// read: a damaged body ends in an error, never in io.EOF, but the bytes before the damage
// have been read by then. It fails with fs.ErrNotExist when there is no such snapshot.
func (s *Snapshots) Open(index, term uint64) (body io.ReadCloser, size int64, err error) {
	_, r, err := openSnapshot(s.fsys, snapshotID{index: index, term: term}, s.cluster)
	if err != nil {
		return nil, 0, err
	}
	return r, r.size, nil
}

// Prune removes all snapshots up to the index applied but the newest keep, at least one,
// and those that recovery set aside as damaged. It keeps any after applied: that was
// received and is not installed yet. It returns the index up to which the log may be
// released: that of the oldest snapshot kept, or 0 while there are fewer than keep up to
// applied, since the log alone stands in for the missing ones.
func (s *Snapshots) Prune(keep int, applied uint64) (release uint64, err error) {
	names, err := s.fsys.List()
	if err != nil {
		return 0, fmt.Errorf("wal: prune snapshots: %w", err)
	}
	var ids []snapshotID
	var remove []string
	for _, name := range names {
		switch kindOf(name) {
		case snapshotFile:
			if id, _ := parseSnapshotName(name); id.index <= applied {
				ids = append(ids, id)
			}
		case badSnapshotFile:
			remove = append(remove, name)
		}
	}
	slices.SortFunc(ids, newestFirst)
	keep = max(keep, 1)
	kept := ids[:min(len(ids), keep)]
	for _, id := range ids[len(kept):] {
		remove = append(remove, id.name())
	}
	for _, name := range remove {
		if err := s.fsys.Remove(name); err != nil {
			return 0, fmt.Errorf("wal: prune snapshot %s: %w", name, err)
		}
	}
	if len(remove) > 0 {
		if err := s.fsys.SyncDir(); err != nil {
			return 0, fmt.Errorf("wal: prune snapshots: %w", err)
		}
	}
	if len(kept) < keep {
		return 0, nil
	}
	return kept[keep-1].index, nil
}
