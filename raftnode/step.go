package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// Step takes a message from another member. The error is one to be logged, or wraps
// [ErrLost].
func (n *Node) Step(m Message, now Reading) error {
	if err := n.validate(m); err != nil {
		return err
	}
	if m.GetType() == raftpb.MsgSnap {
		n.snapshots.offered = offeredSnapshot{index: m.GetSnapshot().GetMetadata().GetIndex(), size: m.SnapshotSize}
	}
	if err := n.take(m.Message); err != nil {
		return err
	}
	n.hearTime(m, now)
	return nil
}

func (n *Node) take(m *raftpb.Message) error {
	if n.members.has(m.GetFrom()) {
		n.heard[m.GetFrom()] = n.ticks
	}
	if m.GetType() == raftpb.MsgReadIndex {
		n.stepReadIndex(m)
		return nil
	}
	if n.voteForLastVoter(m) || m.GetType() == raftpb.MsgTimeoutNow && !n.mayCampaign() {
		return nil
	}
	if m.GetType() == raftpb.MsgSnap && len(n.committed.held) > 0 {
		n.committed.heldSnapshot = m // it replaces an earlier one, which was sent before or counts as lost
		return nil
	}
	if n.wouldOverfill(m) || n.unsolicited(m) {
		return nil // as if it had been lost: it is sent again
	}
	if m.GetType() == raftpb.MsgHeartbeat && m.GetTerm() >= n.role.term {
		if ok, err := n.hasCommitted(m); !ok {
			return err
		}
	}
	n.stepOther(m)
	return nil
}

// hasCommitted reports whether the log has what a heartbeat says is committed in it: Raft panics
// otherwise. A leader never sends a later commit index than what this machine has acked to it,
// in this term, and within a term no entry is truncated; so a machine that has less has lost
// entries. That is final, so only a member of the configuration is believed, or anybody as long
// as this machine knows no configuration. A machine that has lost the entry which made the leader
// a member cannot get here: between that entry and the first heartbeat of that leader the other
// members have learned the reach of this machine, and refuse it with less (package witness).
func (n *Node) hasCommitted(m *raftpb.Message) (bool, error) {
	switch {
	case m.GetCommit() <= n.appends.untruncated:
		return true, nil
	case m.GetCommit() <= n.appends.last:
		return false, nil // an append that was just taken may have truncated the log: it is sent again
	case n.members.known() && !n.members.has(m.GetFrom()):
		return false, fmt.Errorf("raftnode: refused heartbeat from %016x, an unknown member: it says that this machine has acked entry %d, and the log ends at %d",
			m.GetFrom(), m.GetCommit(), n.appends.last)
	}
	return false, fmt.Errorf("%w: by a heartbeat from %016x it has acked entry %d, and the log ends at %d", ErrLost, m.GetFrom(), m.GetCommit(), n.appends.last)
}

// stepOther gives Raft a message of another machine.
func (n *Node) stepOther(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp:
		if entries := m.GetEntries(); len(entries) > 0 {
			n.appends.untruncated = min(n.appends.untruncated, entries[len(entries)-1].GetIndex())
		}
	case raftpb.MsgSnap:
		n.appends.untruncated = min(n.appends.untruncated, m.GetSnapshot().GetMetadata().GetIndex())
	}
	// A message from a member that has been removed meanwhile is not an error of this machine.
	_ = n.raw.Step(m)
}

// voteForLastVoter gives the only remaining voter the vote of this machine, which was removed, as
// long as that voter does not know of the removal. Raft would refuse it if the log of this
// machine is longer; but as long as both voted nothing was committed that is not in the log
// of the other voter, and this machine has nobody else to vote for.
func (n *Node) voteForLastVoter(m *raftpb.Message) bool {
	answer := raftpb.MsgVoteResp
	switch m.GetType() {
	case raftpb.MsgPreVote:
		answer = raftpb.MsgPreVoteResp
	case raftpb.MsgVote:
	default:
		return false
	}
	if !n.members.removed || !n.members.isOnlyVoter(m.GetFrom()) {
		return false
	}
	n.work.Messages = append(n.work.Messages, &raftpb.Message{
		Type: answer.Enum(), From: new(n.cfg.MemberID), To: m.From, Term: m.Term,
	})
	return true
}

// Unreachable reports that messages to a member may have been lost.
func (n *Node) Unreachable(member uint64) {
	n.raw.ReportUnreachable(member)
	if member == n.role.leader {
		n.reads.retrySoon(n.ticks, n.cfg.ElectionTicks)
	}
}
