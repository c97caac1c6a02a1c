package raftnode

import (
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// snapshots are those that this machine takes, sends and receives.
type snapshots struct {
	entries, bytes uint64          // of the log, handed out since the last one
	requested      bool            // one was asked for and is not durable yet
	reportedFull   bool            // what reportFullness reported last
	installed      uint64          // index of the last one received from a leader
	offered        offeredSnapshot // the last one received
	catchingUp     map[uint64]bool // members that were sent one and have not caught up since
}

// due returns how many bytes of log make the next snapshot due. A state of n bytes that is
// written for every n bytes of log keeps write amplification at 2, however large the state is;
// small states wait longer.
func (n *Node) due() uint64 {
	due := max(n.cfg.SnapshotBytes, n.storage.size)
	if most := n.cfg.MaxSnapshotBytes; most > 0 {
		due = min(due, most)
	}
	return due
}

// fullAfter bounds the log that is in no durable snapshot, as a multiple of due.
const fullAfter = 4

// maxSinceSnapshot returns how many bytes of log may be in no durable snapshot.
func (n *Node) maxSinceSnapshot() uint64 {
	if n.cfg.MaxSinceSnapshot > 0 {
		return n.cfg.MaxSinceSnapshot
	}
	return fullAfter * n.due()
}

// full reports whether the log since the newest snapshot is so large that nothing may be added
// until the next one is durable: it takes too long, or Raft hands out too little. A leader
// then refuses commands, a follower takes no entries, which for the cluster is like a slow
// disk. Without snapshots there is no bound.
func (n *Node) full() bool {
	return n.cfg.SnapshotBytes > 0 && n.storage.sinceSnapshot() >= n.maxSinceSnapshot()
}

// Fullness is whether the log is full until the next snapshot is durable: a leader refuses
// commands meanwhile, a follower lags.
type Fullness struct {
	Full  bool
	Bytes uint64 // that are in no snapshot
}

// reportFullness reports when the log becomes full and when it has room again.
func (n *Node) reportFullness() {
	if full := n.full(); full != n.snapshots.reportedFull {
		n.snapshots.reportedFull = full
		n.work.Fullness = &Fullness{Full: full, Bytes: n.storage.sinceSnapshot()}
	}
}

// wouldOverfill reports whether m would add entries to a full log. Entries that replace others are
// taken: those that are there may be in the way of the next snapshot. So are entries up to the
// first one of the leader's term, because without it none before it can be known to be
// committed: if a majority were full and did not take it there would never be another
// snapshot. The log of the leader is bounded, and so is what comes before that entry.
func (n *Node) wouldOverfill(m *raftpb.Message) bool {
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

func (n *Node) requestSnapshot() {
	due := n.storage.needSnapshot || n.cfg.SnapshotBytes > 0 &&
		(n.cfg.SnapshotEntries > 0 && n.snapshots.entries >= n.cfg.SnapshotEntries || n.snapshots.bytes >= n.due() ||
			n.storage.sinceSnapshot() >= n.maxSinceSnapshot()/2 && n.committed.handedOut > n.storage.snapshotIndex())
	if !due || n.snapshots.requested {
		return
	}
	n.snapshots.requested, n.storage.needSnapshot = true, false
	n.snapshots.entries, n.snapshots.bytes = 0, 0
	n.work.TakeSnapshot = &raftpb.SnapshotMetadata{
		Index:     new(n.committed.handedOut),
		Term:      new(n.committed.term),
		ConfState: proto.Clone(n.members.conf).(*raftpb.ConfState),
	}
}

// Snapshotted reports that the snapshot that was asked for is durable, and has so many bytes.
func (n *Node) Snapshotted(meta *raftpb.SnapshotMetadata, size uint64) error {
	n.snapshots.requested = false
	n.storage.needSnapshot = false // Raft wants another if this one will not do either
	if meta.GetIndex() <= n.snapshots.installed {
		return nil // a newer one of the leader has replaced it
	}
	if err := n.storage.NoteSnapshot(meta, size); err != nil {
		return fmt.Errorf("raftnode: snapshot at index %d: %w", meta.GetIndex(), err)
	}
	return nil
}

// Release reports that every snapshot that is kept has the entries up to index. How many of
// them may be removed comes back in Work.Release.
func (n *Node) Release(index uint64) error {
	if index > n.storage.snapshotIndex() {
		return nil // one that was received and is not installed yet; the next one releases
	}
	from := index + 1
	if needed := n.needed(index); needed < from && n.storage.total-n.storage.totalBefore(needed) <= maxNeededBytes {
		from = needed
	}
	if from <= n.storage.first {
		return nil
	}
	if err := n.storage.Release(from - 1); err != nil {
		return fmt.Errorf("raftnode: %w", err)
	}
	n.work.Release = from - 1
	return nil
}

// needed returns the first entry that a member still needs to which a snapshot is in flight,
// or which has installed one and lacks entries up to index: without the entries after the
// snapshot it would need another one, and under load never catch up. Only a leader knows.
func (n *Node) needed(index uint64) uint64 {
	first := uint64(math.MaxUint64)
	if !n.role.leads {
		clear(n.snapshots.catchingUp)
		return first
	}
	n.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch {
		case !n.alive(id), pr.State != tracker.StateSnapshot && pr.Match >= index:
			delete(n.snapshots.catchingUp, id)
		case pr.State == tracker.StateSnapshot:
			first = min(first, pr.PendingSnapshot+1)
		case !n.snapshots.catchingUp[id]:
		case pr.State == tracker.StateProbe: // Match is from before the snapshot
			first = min(first, pr.Next)
		default:
			first = min(first, pr.Match+1)
		}
	})
	return first
}

// SnapshotSent reports whether sending a snapshot to a member has succeeded.
func (n *Node) SnapshotSent(member uint64, ok bool) {
	status := raft.SnapshotFinish
	switch {
	case !ok:
		status = raft.SnapshotFailure
	case n.members.has(member): // it may have been removed meanwhile
		n.snapshots.catchingUp[member] = true
	}
	n.raw.ReportSnapshot(member, status)
}
