package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/wal/crashfs"
	"etcd/wal/vfs"
)

var testID = Identity{ClusterID: 0xc0ffee, MemberID: 0xabba}

// model is the naive model of a log.
type model struct {
	hs      hardState
	base    uint64 // entries up to here are unknown
	last    uint64
	entries map[uint64]modelEntry
}

type modelEntry struct {
	term uint64
	typ  raftpb.EntryType
	data string
}

func (m model) clone() model {
	m.entries = maps.Clone(m.entries)
	return m
}

func (m *model) put(index uint64, e modelEntry) {
	for i := index; i <= m.last; i++ {
		delete(m.entries, i)
	}
	m.entries[index], m.last = e, index
	m.base = min(m.base, index-1)
}

func (m *model) marker(id snapshotID) (restarted bool) {
	if e, ok := m.entries[id.index]; id.index <= m.base || ok && e.term == id.term {
		return false
	}
	m.base, m.last, m.entries = id.index, id.index, map[uint64]modelEntry{}
	return true
}

// recovered is what Open must return for the model and its newest snapshot.
func (m model) recovered(snap snapshotID) model {
	m = m.clone()
	if snap.index > 0 {
		term := snap.term
		last := m.entries[m.last].term
		if before := m.last; m.marker(snap) && (before >= snap.index || last > snap.term) {
			term = max(term, last+1)
		}
		m.hs.commit = max(m.hs.commit, snap.index)
		if m.hs.term < term {
			m.hs.term, m.hs.vote = term, 0
		}
	}
	for i := range m.entries {
		if i <= snap.index {
			delete(m.entries, i)
		}
	}
	m.base = snap.index
	return m
}

// diff compares with what Open has returned.
func (m model) diff(rec *Recovered) error {
	got := model{
		hs:      hardState{rec.HardState.GetTerm(), rec.HardState.GetVote(), rec.HardState.GetCommit()},
		base:    rec.Snapshot.GetIndex(),
		last:    rec.Snapshot.GetIndex(),
		entries: map[uint64]modelEntry{},
	}
	for i, e := range rec.Entries {
		if want := got.base + 1 + uint64(i); e.GetIndex() != want {
			return fmt.Errorf("entry %d stands where %d belongs", e.GetIndex(), want)
		}
		got.last = e.GetIndex()
		got.entries[got.last] = modelEntry{e.GetTerm(), e.GetType(), string(e.GetData())}
	}
	switch {
	case got.hs != m.hs:
		return fmt.Errorf("hard state %+v, want %+v", got.hs, m.hs)
	case got.last != m.last:
		return fmt.Errorf("last entry %d, want %d", got.last, m.last)
	case !maps.Equal(got.entries, m.entries):
		return fmt.Errorf("entries %v, want %v", got.entries, m.entries)
	}
	return nil
}

// driver drives a log and its snapshots together with their model.
type driver struct {
	fs    *crashfs.Disk
	log   *Log
	snaps *Snapshots

	acked, pending model
	saved          []snapshotID // acknowledged, ascending
	saving         snapshotID   // being saved; zero: none
	released       Released     // segments to be removed; at once, unless lazy
	lazy           bool
}

var testOptions = Options{SegmentSize: 512}

func newDriver(fsys *crashfs.Disk) (*driver, error) {
	d := &driver{fs: fsys, snaps: NewSnapshots(fsys, testID), acked: model{entries: map[uint64]modelEntry{}}}
	d.pending = d.acked.clone()
	var err error
	d.log, err = Create(fsys, testID, 0, testOptions)
	return d, err
}

func mustDriver(t testing.TB) *driver {
	t.Helper()
	d, err := newDriver(crashfs.New())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *driver) hardState(term, vote, commit uint64) {
	d.pending.hs = hardState{term, vote, commit}
	d.log.Append(&raftpb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}, nil, nil)
}

func (d *driver) entry(index, term uint64, data string) {
	typ := raftpb.EntryType(index % 3)
	d.pending.put(index, modelEntry{term, typ, data})
	buf := []byte(data)
	d.log.Append(nil, []*raftpb.Entry{{Index: new(index), Term: new(term), Type: typ.Enum(), Data: buf}}, nil)
	clear(buf) // the log must have copied it
}

func (d *driver) sync() error {
	if err := d.log.Sync(); err != nil {
		return err
	}
	d.acked = d.pending.clone()
	return nil
}

func meta(id snapshotID) *raftpb.SnapshotMetadata {
	return &raftpb.SnapshotMetadata{
		Index: new(id.index), Term: new(id.term),
		ConfState: &raftpb.ConfState{Voters: []uint64{1, id.index}},
	}
}

func body(id snapshotID) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("state at %d/%d;", id.index, id.term)), 20)
}

// snapshot does all steps of saving a snapshot, in the order that callers must follow.
func (d *driver) snapshot(id snapshotID) error {
	d.saving = id
	err := d.snaps.Save(meta(id), func(w io.Writer) error {
		_, err := w.Write(body(id))
		return err
	})
	if err != nil {
		return err
	}
	d.saved, d.saving = append(d.saved, id), snapshotID{}
	d.pending.marker(id)
	d.log.Append(nil, nil, meta(id))
	if err := d.sync(); err != nil {
		return err
	}
	oldest, err := d.snaps.Prune(2, id.index)
	if err != nil {
		return err
	}
	var want uint64
	if n := len(d.saved); n >= 2 {
		want = d.saved[n-2].index
	}
	if oldest != want {
		return fmt.Errorf("Prune returned %d, want %d", oldest, want)
	}
	released, err := d.log.Release(oldest)
	d.released = append(d.released, released...)
	if err != nil || d.lazy {
		return err
	}
	return d.remove(len(d.released))
}

// remove removes the oldest released segments, n at most.
func (d *driver) remove(n int) error {
	n = min(n, len(d.released))
	now := d.released[:n]
	d.released = d.released[n:]
	return RemoveSegments(d.fs, now)
}

// release releases segments and removes them at once.
func release(fsys vfs.FS, log *Log, index uint64) error {
	released, err := log.Release(index)
	if err != nil {
		return err
	}
	return RemoveSegments(fsys, released)
}

// spare prepares a spare segment for a log without one. A full disk is no error here.
func (d *driver) spare() error {
	s, err := NewSpare(d.fs, testOptions)
	d.log.TakeSpare(s)
	return err
}

// readBack compares the entries in the segments, from an index on, with the model.
func (d *driver) readBack(from uint64, bytes int) error {
	x, ok := d.log.Extent(from)
	if want := from >= d.log.First() && from <= d.acked.last; ok != want {
		return fmt.Errorf("entry %d, of those from %d to %d, is there: %t", from, d.log.First(), d.acked.last, ok)
	}
	if !ok {
		return nil
	}
	entries, err := x.Read(d.fs, bytes)
	if err != nil || len(entries) == 0 {
		return fmt.Errorf("entries from %d on: %d, error %v", from, len(entries), err)
	}
	size := 0
	for i, e := range entries {
		got := modelEntry{e.GetTerm(), e.GetType(), string(e.GetData())}
		if index := from + uint64(i); e.GetIndex() != index || got != d.acked.entries[index] {
			return fmt.Errorf("entry %d is read back as %d, %+v, want %+v", index, e.GetIndex(), got, d.acked.entries[index])
		}
		if size += len(e.GetData()); size > bytes && i > 0 {
			return fmt.Errorf("%d entries have %d bytes, and %d are allowed", len(entries), size, bytes)
		}
	}
	return nil
}

func (d *driver) newest() snapshotID {
	if len(d.saved) == 0 {
		return snapshotID{}
	}
	return d.saved[len(d.saved)-1]
}

// reopen opens fsys and checks that it holds the acknowledged state and, with
// inFlight, possibly what was being written. The driver goes on from there.
func (d *driver) reopen(fsys *crashfs.Disk, inFlight bool) error {
	log, rec, err := Open(fsys, testOptions)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if rec.Identity != testID {
		return fmt.Errorf("identity %+v", rec.Identity)
	}
	logs, snaps := []model{d.acked}, []snapshotID{d.newest()}
	if inFlight {
		logs = append(logs, d.pending)
		if d.saving.index > 0 {
			snaps = append(snaps, d.saving)
		}
	}
	if err := known(rec, log); err != nil {
		return err
	}
	got := snapshotID{rec.Snapshot.GetIndex(), rec.Snapshot.GetTerm()}
	if !slices.Contains(snaps, got) {
		return fmt.Errorf("snapshot %v, want one of %v", got, snaps)
	}
	var diffs []error
	for _, m := range logs {
		err := m.recovered(got).diff(rec)
		if err == nil {
			return d.resume(fsys, log, m, got)
		}
		diffs = append(diffs, err)
	}
	return errors.Join(diffs...)
}

// known checks what Open reports about entries that it does not return.
func known(rec *Recovered, log *Log) error {
	term := func(index uint64) (term uint64) {
		for _, t := range rec.Terms {
			if t.First <= index {
				term = t.Term
			}
		}
		return term
	}
	for from := rec.First; from <= log.Durable().Last; {
		x, ok := log.Extent(from)
		if !ok {
			return fmt.Errorf("the log begins at %d and ends at %d, and does not have %d", rec.First, log.Durable().Last, from)
		}
		entries, err := x.Read(log.fsys, 1000)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.GetIndex() != from || e.GetTerm() != term(from) {
				return fmt.Errorf("entry %d of term %d stands where %d of term %d belongs", e.GetIndex(), e.GetTerm(), from, term(from))
			}
			from++
		}
	}
	return nil
}

// resume continues with the log and the snapshot that recovery chose.
func (d *driver) resume(fsys *crashfs.Disk, log *Log, m model, snap snapshotID) error {
	if snap.index > 0 {
		r, _, err := NewSnapshots(fsys, testID).Open(snap.index, snap.term)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		if !bytes.Equal(got, body(snap)) {
			return fmt.Errorf("snapshot body %q", got)
		}
		if snap != d.newest() {
			d.saved = append(d.saved, snap)
		}
		hs := m.recovered(snap).hs
		if m = m.clone(); m.marker(snap) {
			m.hs = hs // written along with the marker
		}
	}
	d.fs, d.log, d.snaps, d.saving, d.released = fsys, log, NewSnapshots(fsys, testID), snapshotID{}, nil
	d.acked, d.pending = m.clone(), m.clone()
	return nil
}

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, n)) }
