package raftnode

import (
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// full says whether so much has come since the newest snapshot that nothing may be added
// until the next one is durable: it takes too long, or Raft hands out too little. A leader
// then refuses commands, a follower takes no entries, which for the cluster is like a slow
// disk. Without snapshots there is no bound.
func (n *Node) full() bool {
	return n.cfg.SnapshotEntries > 0 && n.storage.since >= n.cfg.MaxSinceSnapshot
}

// Fullness says whether the log in memory is full until the next snapshot is durable: a
// leader refuses commands meanwhile, a follower falls behind.
type Fullness struct {
	Full  bool
	Bytes uint64 // that are in no snapshot
}

// noteFull says when that begins and when it is over.
func (n *Node) noteFull() {
	if full := n.full(); full != n.wasFull {
		n.wasFull = full
		n.work.Fullness = &Fullness{Full: full, Bytes: n.storage.since}
	}
}

// tooMuch says whether m would add entries to a full log. Those that replace others are
// taken: what is there may be in the way of the next snapshot. So are those up to the first
// one of the leader's term, because without it nothing before it can be known to be
// committed: if a majority were full and did not take it there would never be another
// snapshot. The log of the leader is bounded, and so is what comes before that entry.
func (n *Node) tooMuch(m *raftpb.Message) bool {
	if m.GetType() != raftpb.MsgApp || len(m.GetEntries()) == 0 || !n.full() {
		return false
	}
	last, err := n.storage.LastIndex()
	if err != nil || m.GetIndex() < last {
		return false
	}
	term, err := n.storage.Term(last)
	return err == nil && term >= m.GetTerm()
}

func (n *Node) askSnapshot() {
	due := n.storage.wanted || n.cfg.SnapshotEntries > 0 &&
		(n.sinceCount >= n.cfg.SnapshotEntries || n.sinceBytes >= n.cfg.SnapshotBytes ||
			n.storage.since >= n.cfg.MaxSinceSnapshot/2 && n.handedOut > n.storage.newest)
	if !due || n.snapshotting {
		return
	}
	n.snapshotting, n.storage.wanted = true, false
	n.sinceCount, n.sinceBytes = 0, 0
	n.work.TakeSnapshot = &raftpb.SnapshotMetadata{
		Index:     new(n.handedOut),
		Term:      new(n.handedTerm),
		ConfState: proto.Clone(n.confState).(*raftpb.ConfState),
	}
}

// Snapshotted reports that the snapshot that was asked for is durable. The log
// before it, less CatchUpEntries, is dropped from memory.
func (n *Node) Snapshotted(meta *raftpb.SnapshotMetadata) error {
	n.snapshotting = false
	n.storage.wanted = false // Raft asks again if this one is not good either
	if meta.GetIndex() <= n.installed {
		return nil // a newer one of the leader has taken its place
	}
	if _, err := n.storage.CreateSnapshot(meta.GetIndex(), meta.GetConfState(), nil); err != nil {
		return fmt.Errorf("raftnode: snapshot at index %d: %w", meta.GetIndex(), err)
	}
	first, err := n.storage.FirstIndex()
	if err != nil {
		return fmt.Errorf("raftnode: first index: %w", err)
	}
	keep, err := n.catchUp(first, meta.GetIndex())
	if err != nil || keep <= first {
		return err
	}
	if err := n.storage.Compact(keep - 1); err != nil {
		return fmt.Errorf("raftnode: compact: %w", err)
	}
	return nil
}

// catchUp returns the first entry that stays in memory for machines that are a little
// behind a snapshot at index: those after it are bounded in number and in bytes. What
// follows a snapshot that is being sent stays as well: its machine would need another
// one otherwise, and under load never catch up.
func (n *Node) catchUp(first, index uint64) (keep uint64, err error) {
	if first > index {
		return first, nil
	}
	oldest, bytes := max(first, index+1-min(index, n.cfg.CatchUpEntries)), maxCatchUpBytes
	if needed := max(first, n.needed(index)); needed < oldest {
		oldest, bytes = needed, maxNeededBytes
	}
	if oldest > index {
		return index + 1, nil
	}
	entries, err := n.storage.Entries(oldest, index+1, math.MaxUint64)
	if err != nil {
		return 0, fmt.Errorf("raftnode: entries from %d to %d: %w", oldest, index, err)
	}
	size := 0
	for keep = index + 1; keep > oldest; keep-- {
		if size += len(entries[keep-1-oldest].GetData()); size > bytes {
			break
		}
	}
	return keep, nil
}

// needed returns the first entry needed next by a machine that a snapshot is on its way
// to, or that has got one and is not yet within CatchUpEntries of index. Only a leader
// knows.
func (n *Node) needed(index uint64) uint64 {
	first := uint64(math.MaxUint64)
	if !n.isLeader {
		clear(n.fed)
		return first
	}
	n.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch {
		case !n.alive(id), pr.State != tracker.StateSnapshot && pr.Match+n.cfg.CatchUpEntries >= index:
			delete(n.fed, id)
		case pr.State == tracker.StateSnapshot:
			first = min(first, pr.PendingSnapshot+1)
		case !n.fed[id]:
		case pr.State == tracker.StateProbe: // Match is from before the snapshot
			first = min(first, pr.Next)
		default:
			first = min(first, pr.Match+1)
		}
	})
	return first
}
