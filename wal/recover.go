package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/vfs"
)

// Recovered is what a directory held when it was opened.
type Recovered struct {
	Identity Identity
	// HardState is never nil. A snapshot is applied and so committed state:
	// Commit, and Term with a cleared Vote, are raised to the snapshot's when
	// they lag behind it; and Term above that of the last entry if the snapshot
	// is of another branch than the log.
	HardState *raftpb.HardState
	// Snapshot is the newest readable one, nil when there is none. Its body
	// was verified as a whole, and was the last that Options.Restore got.
	Snapshot *raftpb.SnapshotMetadata
	// SnapshotSize is the size of its body, in bytes.
	SnapshotSize int64
	// First is the index of the oldest entry in the log, which may be before Snapshot, or of
	// the next one if there is none. Terms are the terms of the entries from First on.
	First uint64
	Terms []Term
	// Entries are the newest ones after Snapshot, contiguous: all, or as many as Options.Keep
	// allows. Log.Extent reads the others.
	Entries []*raftpb.Entry
	// ConfChanges are all conf changes after Snapshot: the entries that are not of
	// raftpb.EntryNormal.
	ConfChanges []*raftpb.Entry
	// Torn is nil unless something was cut off the end of the log.
	Torn *TornTail
	// BadSnapshots says why each snapshot newer than Snapshot was passed over.
	// The files have been renamed to *.snap.bad.
	BadSnapshots []error
}

// TornTail is what a crash left of the write that was under way. It was never
// acked.
type TornTail struct {
	File   string // the last segment
	Offset int64  // where it began
	Bytes  int64  // how many bytes were cleared
}

func (t *TornTail) String() string {
	return fmt.Sprintf("cut off %d bytes of an unfinished write at offset %d of %s", t.Bytes, t.Offset, t.File)
}

// Open reads the log and finds the newest readable snapshot. It clears a torn
// tail, removes temporary files and sets damaged snapshots aside, but only once
// it is certain to succeed: when it refuses, it has changed nothing. What it
// returns is durable, even what a killed process had written and not synced. No
// Snapshots.Save may be under way.
//
// It fails with ErrNoLog for an empty directory, a *CorruptError for damage to
// acknowledged data, ErrIncomplete for missing files, ErrVersion, or
// ErrForeign.
func Open(fsys vfs.FS, opts Options) (*Log, *Recovered, error) {
	if err := finishRefound(fsys); err != nil {
		return nil, nil, err
	}
	dir, err := readDir(fsys)
	if err != nil {
		return nil, nil, err
	}
	head, err := readHeader(fsys, segmentName(dir.segments[0]))
	if err != nil {
		return nil, nil, err
	}
	rec := &Recovered{Identity: head.identity}
	bad, err := rec.findSnapshot(fsys, dir.snapshots, opts.Restore)
	if err != nil {
		return nil, nil, err
	}
	rp := &replay{snapshot: rec.Snapshot.GetIndex(), names: dir.segments, keep: opts.Keep}
	l := &Log{fsys: fsys, opts: opts, identity: head.identity}
	if err := rp.run(fsys, l); err != nil {
		return nil, nil, errors.Join(err, l.abandon())
	}
	rec.Torn = rp.torn
	restarted, err := rec.assemble(rp)
	if err != nil {
		err = fmt.Errorf("%w; %s", errors.Join(append([]error{err}, rec.BadSnapshots...)...), remedy)
		return nil, nil, errors.Join(err, l.abandon())
	}
	if opts.Accept != nil {
		if err := opts.Accept(rec.Entries); err != nil {
			return nil, nil, errors.Join(err, l.abandon())
		}
	}
	if err := l.repair(rec, rp, append(dir.temporary, bad...)); err != nil {
		return nil, nil, errors.Join(err, l.abandon())
	}
	l.resume(rp, rec)
	if restarted {
		// The log must know of a snapshot that it does not lead to before
		// entries that follow the snapshot are added to it.
		l.Append(rec.HardState, nil, rec.Snapshot)
		if err := l.Sync(); err != nil {
			return nil, nil, errors.Join(err, l.abandon())
		}
	}
	rec.First, rec.Terms = l.First(), l.history.terms(l.First())
	return l, rec, nil
}

// abandon closes the current segment of a log that could not be opened.
func (l *Log) abandon() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// resume makes l ready to append after what was replayed.
func (l *Log) resume(rp *replay, rec *Recovered) {
	l.history, l.places = rp.history, rp.places
	if rp.history.base == rec.Snapshot.GetIndex() {
		l.history.baseTerm = rec.Snapshot.GetTerm()
	}
	l.durable = logState{hardState: rp.state, snapshot: rec.Snapshot.GetIndex(), last: l.history.last, lastTerm: l.history.lastTerm()}
	l.pending = l.durable
}

// directory is the sorted content of a data directory.
type directory struct {
	segments  []uint64     // ascending, at least one, without a gap
	snapshots []snapshotID // newest first
	temporary []string
}

func readDir(fsys vfs.FS) (*directory, error) {
	files, err := survey(fsys)
	if err != nil {
		return nil, err
	}
	d := &directory{}
	for _, f := range files {
		switch f.kind {
		case segmentFile:
			seq, _ := parseSegmentName(f.name)
			d.segments = append(d.segments, seq)
		case snapshotFile:
			id, _ := parseSnapshotName(f.name)
			d.snapshots = append(d.snapshots, id)
		case temporaryFile, newSnapshotFile: // of an unfinished Refound
			d.temporary = append(d.temporary, f.name)
		}
	}
	slices.Sort(d.segments)
	slices.SortFunc(d.snapshots, newestFirst)
	switch {
	case len(d.segments) == 0 && len(d.snapshots) == 0:
		return nil, ErrNoLog
	case len(d.segments) == 0:
		return nil, fmt.Errorf("%w: there is a snapshot, %s, but no segment; %s", ErrIncomplete, d.snapshots[0].name(), remedy)
	}
	for i, seq := range d.segments {
		if want := d.segments[0] + uint64(i); seq != want {
			return nil, fmt.Errorf("%w: segment %s is missing; %s", ErrIncomplete, segmentName(want), remedy)
		}
	}
	return d, nil
}

// findSnapshot verifies snapshots, newest first, until one is valid. It returns
// the names of those passed over.
func (rec *Recovered) findSnapshot(fsys vfs.FS, ids []snapshotID, restore func(io.Reader) error) (bad []string, err error) {
	for _, id := range ids {
		meta, r, err := openSnapshot(fsys, id, rec.Identity.ClusterID)
		if err == nil {
			err = errors.Join(r.restore(restore), r.Close())
		}
		if err == nil {
			rec.Snapshot, rec.SnapshotSize = meta, r.size
			return bad, nil
		}
		if _, damaged := errors.AsType[*CorruptError](err); !damaged {
			return nil, err
		}
		rec.BadSnapshots = append(rec.BadSnapshots, err)
		bad = append(bad, id.name())
	}
	return bad, nil
}

// restore passes the body to Options.Restore, and always reads it to its end: if it is
// damaged, that is why it cannot be restored.
func (r *snapshotReader) restore(restore func(io.Reader) error) error {
	begins := r.at
	var failed error
	if restore != nil {
		failed = restore(r)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	switch {
	case failed == nil:
		return nil
	case errors.Is(failed, ErrVersion):
		return fmt.Errorf("%w: snapshot %s", failed, r.name)
	}
	return &CorruptError{File: r.name, Offset: begins, Reason: "its checksums are right, but it cannot be restored: " + failed.Error()}
}

// assemble joins the snapshot and the replayed log and checks that together
// they reach the last committed entry. restarted says that the log does not
// lead to the snapshot.
func (rec *Recovered) assemble(rp *replay) (restarted bool, err error) {
	hs, last := rp.state, rp.history.last
	if rec.Snapshot != nil {
		id := snapshotID{index: rec.Snapshot.GetIndex(), term: rec.Snapshot.GetTerm()}
		if rp.history.base > id.index {
			return false, fmt.Errorf("%w: the newest readable snapshot ends at entry %d and the log begins at entry %d", ErrIncomplete, id.index, rp.history.base+1)
		}
		term := id.term
		if restarted = !rp.history.leadsTo(id); restarted {
			if last >= id.index || rp.history.lastTerm() > id.term {
				// The log is on another branch. The leader that sent the snapshot had a later term
				// than the last entry here, and in that term these entries may be truncated.
				term = max(term, rp.history.lastTerm()+1)
			}
			rp.entries, rp.confChanges, last = nil, nil, id.index
		}
		hs.commit = max(hs.commit, id.index)
		if hs.term < term {
			hs.term, hs.vote = term, 0
		}
	} else if rp.history.base > 0 {
		return false, fmt.Errorf("%w: the log begins at entry %d and there is no readable snapshot of those before", ErrIncomplete, rp.history.base+1)
	}
	if hs.commit > last {
		return false, fmt.Errorf("%w: entries up to %d were committed and the log ends at %d", ErrIncomplete, hs.commit, last)
	}
	rec.Entries, rec.ConfChanges = rp.entries, rp.confChanges
	rec.HardState = &raftpb.HardState{Term: new(hs.term), Vote: new(hs.vote), Commit: new(hs.commit)}
	return restarted, nil
}

// repair clears what a crash left behind and sets damaged snapshots aside.
// names lists temporary files, which it removes, and damaged snapshots.
//
// What was read may come from the page cache and not be on disk. A process that was killed
// may not have synced its last record, or the directory; and after a sync that failed, the
// kernel may call what it could not write clean, and the next sync succeeds without it. So
// the last record is written once more, the directory is changed once more, and both are
// synced. Nothing else can be missing: a record is only written after one that was
// synced, by the process that wrote it or by this function, a segment is only begun
// after such a one, and a snapshot and a segment were synced before they got their names.
// If the zeros over a torn tail do not reach the disk, nothing is lost: the next record
// overwrites it, and a start that finds what is left of it clears it again.
func (l *Log) repair(rec *Recovered, rp *replay, names []string) error {
	if t := rec.Torn; t != nil {
		if err := clearRange(l.file, t.Offset, t.Bytes); err != nil {
			return fmt.Errorf("wal: clear the torn tail of segment %s: %w", t.File, err)
		}
	}
	if rp.short {
		if err := l.file.Allocate(l.head.size); err != nil {
			return fmt.Errorf("wal: allocate segment %s: %w", segmentName(l.head.seq), err)
		}
	}
	if rp.final != nil {
		if _, err := l.file.WriteAt(rp.final, rp.finalAt); err != nil {
			return fmt.Errorf("wal: write the last record of segment %s again: %w", segmentName(l.head.seq), err)
		}
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("wal: sync segment %s: %w", segmentName(l.head.seq), err)
	}
	for _, name := range names {
		var err error
		if strings.HasSuffix(name, tempSuffix) || strings.HasSuffix(name, newSuffix) {
			err = l.fsys.Remove(name)
		} else {
			err = l.fsys.Rename(name, name+badSuffix)
		}
		if err != nil {
			return fmt.Errorf("wal: clean up %s: %w", name, err)
		}
	}
	if err := dirtyDir(l.fsys); err != nil {
		return fmt.Errorf("wal: change the directory: %w", err)
	}
	if err := l.fsys.SyncDir(); err != nil {
		return fmt.Errorf("wal: sync directory: %w", err)
	}
	return nil
}

// dirtyDir creates and removes a file, so that the next SyncDir has something to write, and
// with it, as changes of a directory reach the disk in order, all earlier ones.
func dirtyDir(fsys vfs.FS) error {
	name := snapshotName(0, 0) + tempSuffix // the next start removes what a crash left of it
	if err := removeIfExists(fsys, name); err != nil {
		return err
	}
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), fsys.Remove(name))
}

// clearRange overwrites with zeros. The file keeps its length, so that a
// segment that is too short can only have been cut by something else.
func clearRange(f vfs.File, offset, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		step := min(n, int64(len(zeros)))
		if _, err := f.WriteAt(zeros[:step], offset); err != nil {
			return err
		}
		offset, n = offset+step, n-step
	}
	return nil
}
