package raftnode

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// entryOverhead is what an entry takes in memory besides its data, in bytes.
	entryOverhead = 128
	// logOverhead is what an entry takes in the log besides its data, in bytes.
	logOverhead = 24
	// maxRun is how many bytes of the log a run has before the next one begins.
	maxRun = 1 << 20
)

func footprint(e *raftpb.Entry) int { return entryOverhead + len(e.GetData()) }

func logBytes(e *raftpb.Entry) uint64 { return logOverhead + uint64(len(e.GetData())) }

// storage is the durable log as Raft sees it. It knows the terms of all entries on disk; in
// memory it has the newest entries, and for a while such older ones as were read back.
//
// For entries that are not in memory it gives Raft none, and no error: Raft then hands out
// nothing, sends the follower nothing new, and retries.
type storage struct {
	hardState    *raftpb.HardState        // as of the start
	snapshot     *raftpb.SnapshotMetadata // the newest; nil: none
	size         uint64                   // of it, in bytes
	members      *raftpb.ConfState        // at present
	needSnapshot bool                     // Raft wants to send a snapshot and there is none of the present members

	first         uint64 // index of the oldest entry on disk
	prevTerm      uint64 // term of the one before that
	last          uint64
	runs          []run  // from first to last
	total         uint64 // bytes of log up to last, from an arbitrary point on
	snapshotTotal uint64 // the same up to the newest snapshot

	tail     []*raftpb.Entry // the newest entries, up to last
	bytes    int             // of memory that they take
	maxBytes int             // bounds bytes
	unused   int             // entries that were dropped from the front and are still in the array
	replay   uint64          // the last entry found at the start, until it is handed out: 0

	back readBack
}

// run is a stretch of the log, of one term. total is that of storage before it.
type run struct{ first, term, total uint64 }

func newStorage(state State, maxBytes int) (*storage, error) {
	s := &storage{hardState: state.HardState, members: &raftpb.ConfState{}, first: 1, maxBytes: maxBytes}
	if meta := state.Snapshot; meta != nil {
		if err := s.ApplySnapshot(meta, state.SnapshotSize); err != nil {
			return nil, err
		}
	}
	if len(state.Entries) == 0 && len(state.Terms) == 0 {
		return s, nil
	}
	if len(state.Terms) > 0 {
		s.restoreTerms(state)
	}
	if n := len(state.Entries); n > 0 {
		s.replay = state.Entries[n-1].GetIndex()
	}
	if err := s.Append(state.Entries); err != nil {
		return nil, err
	}
	s.snapshotTotal = s.totalBefore(s.snapshotIndex() + 1)
	return s, nil
}

// restoreTerms notes the entries that are only on disk. Raft has to know the term of the entry before
// the log: if that is neither the beginning nor the snapshot, the oldest entry stands in for it.
func (s *storage) restoreTerms(state State) {
	oldest := state.Terms[0]
	switch {
	case oldest.First == 1:
		s.first, s.prevTerm = 1, 0
	case oldest.First <= s.snapshotIndex():
		s.first, s.prevTerm = oldest.First+1, oldest.Term
	}
	s.last = s.first - 1
	for i, t := range state.Terms {
		end := state.Last
		if i+1 < len(state.Terms) {
			end = state.Terms[i+1].First - 1
		}
		if end >= s.first {
			s.runs = append(s.runs, run{first: max(t.First, s.first), term: t.Term, total: s.total})
			// How much data they have is not known. It counts when they are handed out.
			s.total += (end + 1 - max(t.First, s.first)) * logOverhead
			s.last = end
		}
	}
}

func (s *storage) snapshotIndex() uint64 { return s.snapshot.GetIndex() }

// sinceSnapshot returns how many bytes of log there are after the newest snapshot, accurate to a run.
func (s *storage) sinceSnapshot() uint64 { return s.total - min(s.total, s.snapshotTotal) }

// Append adds entries, which replace those from the index of the first on.
func (s *storage) Append(entries []*raftpb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	index := entries[0].GetIndex()
	switch {
	case index > s.last+1:
		return fmt.Errorf("entry %d does not follow entry %d", index, s.last)
	case index+uint64(len(entries)) <= s.first:
		return nil
	case index < s.first:
		entries, index = entries[s.first-index:], s.first
	}
	s.truncate(index)
	for _, e := range entries {
		if n := len(s.runs); n == 0 || s.runs[n-1].term != e.GetTerm() || s.total-s.runs[n-1].total >= s.maxRun() {
			s.runs = append(s.runs, run{first: e.GetIndex(), term: e.GetTerm(), total: s.total})
		}
		s.total += logBytes(e)
		s.bytes += footprint(e)
	}
	s.tail, s.last = append(s.tail, entries...), index+uint64(len(entries))-1
	s.shrink()
	return nil
}

// NoteHandedOut notes that the entries up to index were handed out for application.
func (s *storage) NoteHandedOut(index uint64) {
	if s.replay > 0 && index >= s.replay {
		s.replay = 0
		s.shrink()
	}
}

// shrink evicts the oldest entries from the tail until it is within its bound. What was in memory
// at the start stays until it was handed out, or it would have to be read once more.
func (s *storage) shrink() {
	if s.replay > 0 {
		return
	}
	n := 0
	for ; s.bytes > s.maxBytes && n < len(s.tail)-1; n++ {
		s.bytes -= footprint(s.tail[n])
	}
	s.evict(n)
}

func (s *storage) maxRun() uint64 { return min(maxRun, uint64(s.maxBytes)/4) }

// truncate drops the entries from index on.
func (s *storage) truncate(index uint64) {
	if index > s.last {
		return
	}
	kept := index - min(index, s.tailFirst())
	for _, e := range s.tail[kept:] {
		s.bytes -= footprint(e)
	}
	// The next append must not overwrite entries of this array that others refer to.
	s.tail = s.tail[:kept:kept]
	s.total = s.totalBefore(index)
	s.runs = s.runs[:sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first >= index })]
	s.last, s.replay = index-1, min(s.replay, index-1)
	s.back.truncate(index)
}

// evict evicts the n oldest entries from the tail. The array is replaced when too much of it is
// unused.
func (s *storage) evict(n int) {
	s.tail = s.tail[n:]
	if s.unused += n; s.unused > len(s.tail)/8+64 {
		s.tail, s.unused = slices.Clone(s.tail), 0
	}
}

// tailFirst returns the index of the oldest entry in the tail; if that is empty, of the next one.
func (s *storage) tailFirst() uint64 { return s.last + 1 - uint64(len(s.tail)) }

// totalBefore returns the total up to an entry, without it. Within a run all entries count
// the same.
func (s *storage) totalBefore(index uint64) uint64 {
	if index > s.last || len(s.runs) == 0 {
		return s.total
	}
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first > index }) - 1
	if i < 0 {
		return s.runs[0].total
	}
	r, next := s.runs[i], run{first: s.last + 1, total: s.total}
	if i+1 < len(s.runs) {
		next = s.runs[i+1]
	}
	return r.total + (next.total-r.total)*(index-r.first)/(next.first-r.first)
}

// NoteSnapshot notes a snapshot that this machine has taken.
func (s *storage) NoteSnapshot(meta *raftpb.SnapshotMetadata, size uint64) error {
	if meta.GetIndex() <= s.snapshotIndex() || meta.GetIndex() > s.last {
		return fmt.Errorf("snapshot index out of range: the log ends at %d and has a snapshot at %d", s.last, s.snapshotIndex())
	}
	s.snapshot, s.size, s.snapshotTotal = meta, size, s.totalBefore(meta.GetIndex()+1)
	return nil
}

// ApplySnapshot lets the log begin anew after a snapshot.
func (s *storage) ApplySnapshot(meta *raftpb.SnapshotMetadata, size uint64) error {
	if meta.GetIndex() <= s.snapshotIndex() {
		return raft.ErrSnapOutOfDate
	}
	index := meta.GetIndex()
	s.snapshot, s.size = meta, size
	s.first, s.prevTerm, s.last = index+1, meta.GetTerm(), index
	s.runs, s.total, s.snapshotTotal = nil, 0, 0
	s.tail, s.bytes, s.unused, s.replay = nil, 0, 0, 0
	s.back.truncate(0)
	return nil
}

// Release drops the entries up to index: they will be removed from disk.
func (s *storage) Release(index uint64) error {
	if index < s.first {
		return nil
	}
	before, err := s.Term(index)
	if err != nil {
		return fmt.Errorf("release entry %d: %w", index, err)
	}
	if n := index + 1 - min(index+1, s.tailFirst()); n > 0 {
		for _, e := range s.tail[:n] {
			s.bytes -= footprint(e)
		}
		s.evict(int(n))
	}
	total := s.totalBefore(index + 1)
	n := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first > index+1 })
	runs := slices.Clone(s.runs[max(0, n-1):])
	if len(runs) > 0 {
		runs[0].first, runs[0].total = index+1, total
	}
	if index == s.last {
		runs = nil
	}
	s.first, s.prevTerm, s.runs = index+1, before, runs
	return nil
}

// InitialState implements [raft.Storage].
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return s.hardState, raftpb.EnsureConfState(s.snapshot.GetConfState()), nil
}

// FirstIndex implements [raft.Storage].
func (s *storage) FirstIndex() (uint64, error) { return s.first, nil }

// LastIndex implements [raft.Storage].
func (s *storage) LastIndex() (uint64, error) { return s.last, nil }

// Term implements [raft.Storage].
func (s *storage) Term(index uint64) (uint64, error) {
	switch {
	case index+1 == s.first:
		return s.prevTerm, nil
	case index < s.first:
		return 0, raft.ErrCompacted
	case index > s.last:
		return 0, raft.ErrUnavailable
	}
	return s.runs[sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first > index })-1].term, nil
}

// Entries implements [raft.Storage]. Entries older than those in memory are read back; until
// that is done it returns none.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo < s.first {
		return nil, raft.ErrCompacted
	}
	if hi > s.last+1 {
		return nil, errors.New("raftnode: Raft requests entries beyond the end of the log")
	}
	first := s.tailFirst()
	if lo < first {
		return limitBytes(s.back.get(lo, min(hi, first), first), maxSize), nil
	}
	return limitBytes(s.tail[lo-first:hi-first], maxSize), nil
}

// limitBytes returns the first entries that together fit in so many bytes, and at least one.
func limitBytes(entries []*raftpb.Entry, bytes uint64) []*raftpb.Entry {
	size := uint64(0)
	for i, e := range entries {
		if size += uint64(proto.Size(e)); size > bytes && i > 0 {
			return entries[:i:i]
		}
	}
	return slices.Clip(entries)
}

// Snapshot implements [raft.Storage]. It returns the newest snapshot, for a follower that
// needs one. It has to have the present members: one that was taken before a machine joined
// would tell that machine that it is no member. If it has others, a new snapshot is asked
// for, and Raft retries.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	if s.snapshot == nil || !sameMembers(s.snapshot.GetConfState(), s.members) {
		s.needSnapshot = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{Metadata: proto.Clone(s.snapshot).(*raftpb.SnapshotMetadata)}, nil
}

func sameMembers(a, b *raftpb.ConfState) bool {
	all := func(c *raftpb.ConfState) []uint64 {
		ids := slices.Concat(c.GetVoters(), c.GetLearners())
		slices.Sort(ids)
		return ids
	}
	return slices.Equal(all(a), all(b))
}
