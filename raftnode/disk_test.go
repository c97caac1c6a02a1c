package raftnode_test

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
)

// snapshot is the state after one entry.
type snapshot struct {
	meta    *raftpb.SnapshotMetadata
	records int // how many of the log it holds
	saved   bool
}

// disk is what a crash leaves.
type disk struct {
	hardState *raftpb.HardState
	entries   []*raftpb.Entry // from index 1 on
	snapshot  *snapshot
}

func (d *disk) write(a *raftnode.Append) {
	if a.HardState != nil {
		d.hardState = a.HardState
	}
	d.entries = append(d.entries, a.Entries...)
}

func (d *disk) last() uint64 { return uint64(len(d.entries)) }

// found is what a start finds: the newest snapshot and the entries after it. A
// snapshot is proof that its entry was committed, whatever the hard state says.
func (d *disk) found() raftnode.State {
	if d.hardState == nil {
		return raftnode.State{}
	}
	state := raftnode.State{HardState: proto.Clone(d.hardState).(*raftpb.HardState), Entries: slices.Clone(d.entries)}
	if d.snapshot != nil {
		index := d.snapshot.meta.GetIndex()
		state.Snapshot = d.snapshot.meta
		state.Entries = state.Entries[index:]
		state.HardState.Commit = new(max(index, state.HardState.GetCommit()))
	}
	return state
}
