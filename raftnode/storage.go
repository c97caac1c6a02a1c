package raftnode

import (
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// storage is the log in memory, and what is known of the newest snapshot file.
type storage struct {
	*raft.MemoryStorage
	members *raftpb.ConfState // at present
	wanted  bool              // Raft wants to send a snapshot and there is no good one
	newest  uint64            // index of the newest snapshot
	since   uint64            // bytes of the entries after it
}

// entryOverhead is what an entry needs in memory besides its data, in bytes.
const entryOverhead = 128

// Append replaces what there is from the first of the entries on.
func (s *storage) Append(entries []*raftpb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	from := max(entries[0].GetIndex(), s.newest+1)
	before, err := s.size(from)
	if err != nil {
		return err
	}
	if err := s.MemoryStorage.Append(entries); err != nil {
		return err
	}
	after, err := s.size(from)
	s.since += after - before
	return err
}

// CreateSnapshot notes a snapshot of this machine.
func (s *storage) CreateSnapshot(index uint64, members *raftpb.ConfState, data []byte) (*raftpb.Snapshot, error) {
	snapshot, err := s.MemoryStorage.CreateSnapshot(index, members, data)
	if err != nil {
		return nil, err
	}
	s.newest = index
	s.since, err = s.size(index + 1)
	return snapshot, err
}

// ApplySnapshot begins the log anew behind a snapshot.
func (s *storage) ApplySnapshot(snapshot *raftpb.Snapshot) error {
	if err := s.MemoryStorage.ApplySnapshot(snapshot); err != nil {
		return err
	}
	s.newest, s.since = snapshot.GetMetadata().GetIndex(), 0
	return nil
}

// size is how many bytes the entries from an index on take.
func (s *storage) size(from uint64) (bytes uint64, err error) {
	last, err := s.LastIndex()
	if err != nil || from > last {
		return 0, err
	}
	entries, err := s.Entries(from, last+1, math.MaxUint64)
	for _, e := range entries {
		bytes += entryOverhead + uint64(len(e.GetData()))
	}
	return bytes, err
}

// Snapshot returns the newest snapshot for a machine that needs one. It has to be of
// the present members: one that was taken before a machine joined would tell that
// machine that it is none of them. If it is not, a new one is asked for, and Raft
// tries again.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	snapshot, err := s.MemoryStorage.Snapshot()
	if err != nil {
		return nil, err
	}
	if !sameMembers(snapshot.GetMetadata().GetConfState(), s.members) {
		s.wanted = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return snapshot, nil
}

func sameMembers(a, b *raftpb.ConfState) bool {
	all := func(c *raftpb.ConfState) []uint64 {
		ids := slices.Concat(c.GetVoters(), c.GetLearners())
		slices.Sort(ids)
		return ids
	}
	return slices.Equal(all(a), all(b))
}
