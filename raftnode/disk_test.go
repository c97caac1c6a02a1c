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
	records int // of the log that it covers
	saved   bool
}

// disk is what survives a crash.
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

// read reads entries back.
func (d *disk) read(r *raftnode.ReadBack) []*raftpb.Entry {
	return fitting(d.entries[r.From-1:], r.Bytes)
}

// fitting returns the first entries within a size, but at least one.
func fitting(entries []*raftpb.Entry, bytes int) []*raftpb.Entry {
	for i, e := range entries {
		if bytes -= len(e.GetData()); bytes < 0 && i > 0 {
			return slices.Clone(entries[:i])
		}
	}
	return slices.Clone(entries)
}

// termsOf returns the terms of entries.
func termsOf(entries []*raftpb.Entry) (terms []raftnode.Term) {
	for _, e := range entries {
		if n := len(terms); n == 0 || terms[n-1].Term != e.GetTerm() {
			terms = append(terms, raftnode.Term{First: e.GetIndex(), Term: e.GetTerm()})
		}
	}
	return terms
}

// newest returns the last entries, as many as a start gives to the core: more than stay in memory.
func newest(entries []*raftpb.Entry, cfg raftnode.Config) []*raftpb.Entry {
	if cfg.MaxInMemory == 0 {
		return entries
	}
	return entries[max(0, len(entries)-cfg.MaxInMemory/50):]
}

// state is what a start recovers: the newest snapshot and the entries after it. A snapshot is
// proof that its entry was committed, whatever the HardState says.
func (d *disk) state(cfg raftnode.Config) raftnode.State {
	if d.hardState == nil {
		return raftnode.State{}
	}
	state := raftnode.State{HardState: proto.Clone(d.hardState).(*raftpb.HardState), Entries: slices.Clone(d.entries), Terms: termsOf(d.entries), Last: d.last()}
	if d.snapshot != nil {
		index := d.snapshot.meta.GetIndex()
		state.Snapshot = d.snapshot.meta
		state.Entries = state.Entries[index:]
		state.HardState.Commit = new(max(index, state.HardState.GetCommit()))
	}
	state.Entries = newest(state.Entries, cfg)
	return state
}
