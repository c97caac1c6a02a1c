package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// storage is the log in memory, and what is known of the newest snapshot file.
type storage struct {
	*raft.MemoryStorage
	members *raftpb.ConfState // at present
	wanted  bool              // Raft wants to send a snapshot and there is no good one
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
