package wal

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/vfs"
)

// newSuffix marks the files of a Refound, which replace all others.
const newSuffix = ".new"

// Refound gives the directory another identity and replaces everything in it by a snapshot,
// which meta describes and write produces: the log restarts after it, in the given term. The
// old log must be closed, and the lock held.
//
// Until the last file is whole and durable under its name, a crash leaves the directory as
// it was. From then on the next Open completes the Refound. There is no way back.
func Refound(fsys vfs.FS, id Identity, term uint64, meta *raftpb.SnapshotMetadata, write func(io.Writer) error, opts Options) error {
	if err := finishRefound(fsys); err != nil { // an earlier one
		return err
	}
	dir, err := readDir(fsys)
	if err != nil {
		return err
	}
	size, err := opts.segmentSize(fsys, 0)
	if err != nil {
		return err
	}
	name := snapshotName(meta.GetIndex(), meta.GetTerm()) + newSuffix
	if err := NewSnapshots(fsys, id).save(name, name+tempSuffix, meta, write); err != nil {
		return fmt.Errorf("wal: refound: %w", err)
	}
	h := segmentHeader{
		identity: id, seq: dir.segments[len(dir.segments)-1] + 1, first: meta.GetIndex() + 1,
		state: hardState{term: term, commit: meta.GetIndex()}, size: size,
	}
	f, err := writeSegment(fsys, &h, segmentName(h.seq)+newSuffix)
	if err != nil {
		return fmt.Errorf("wal: refound: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("wal: refound: %w", err)
	}
	return finishRefound(fsys)
}

// finishRefound completes a Refound whose files are whole, and does nothing if there is none.
// Each new file keeps its name until a copy under the final one is durable, because a power
// cut may lose a file while it is renamed. The snapshot comes first: as long as it has the
// new name, all files with a final one are old, or an unfinished attempt.
func finishRefound(fsys vfs.FS) error {
	files, err := survey(fsys)
	if err != nil {
		return err
	}
	var segment, snapshot string
	var old []string
	for _, f := range files {
		switch f.kind {
		case newSegmentFile:
			segment = f.name
		case newSnapshotFile:
			snapshot = f.name
		default:
			old = append(old, f.name)
		}
	}
	if segment == "" {
		return nil // a snapshot alone is left from an unfinished attempt, and temporary
	}
	if snapshot != "" {
		if err := replaceOld(fsys, snapshot, old); err != nil {
			return fmt.Errorf("wal: refound: %w", err)
		}
	}
	head, err := readHeaderOf(fsys, segment, strings.TrimSuffix(segment, newSuffix))
	if err != nil {
		return err
	}
	f, err := createSegment(fsys, &head)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), fsys.Remove(segment), fsys.SyncDir()); err != nil {
		return fmt.Errorf("wal: refound: %w", err)
	}
	return nil
}

// replaceOld removes the old files and gives the new snapshot its final name.
func replaceOld(fsys vfs.FS, snapshot string, old []string) error {
	for _, name := range old {
		if err := fsys.Remove(name); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(); err != nil {
		return err
	}
	name := strings.TrimSuffix(snapshot, newSuffix)
	if err := copyFile(fsys, snapshot, name+tempSuffix); err != nil {
		return err
	}
	if err := fsys.Rename(name+tempSuffix, name); err != nil {
		return err
	}
	if err := fsys.SyncDir(); err != nil {
		return err
	}
	if err := fsys.Remove(snapshot); err != nil {
		return err
	}
	return fsys.SyncDir()
}

// copyFile copies a file durably to a name that is free.
func copyFile(fsys vfs.FS, from, to string) (err error) {
	in, err := fsys.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	size, err := in.Size()
	if err != nil {
		return err
	}
	out, err := fsys.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(io.NewOffsetWriter(out, 0), io.NewSectionReader(in, 0, size)); err != nil {
		return err
	}
	return out.Sync()
}
