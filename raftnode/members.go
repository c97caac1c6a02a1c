package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// promoteLag is how many entries a learner may lack to be given a vote.
const promoteLag = 64

// maxHeldReads bounds the reads of other members that a new leader keeps.
const maxHeldReads = 1000

// reservedIDs are from here on: Raft has uses of its own for some of them.
const reservedIDs = 1 << 63

// Step takes a message of another member. The error is one to be logged, or wraps
// [ErrLost].
func (n *Node) Step(m Message, now Reading) error {
	if err := n.believe(m); err != nil {
		return err
	}
	if m.GetType() == raftpb.MsgSnap {
		n.offered = offeredSnapshot{index: m.GetSnapshot().GetMetadata().GetIndex(), size: m.SnapshotSize}
	}
	if err := n.take(m.Message); err != nil {
		return err
	}
	n.hearTime(m, now)
	return nil
}

func (n *Node) take(m *raftpb.Message) error {
	if voter, learner := n.isMember(m.GetFrom()); voter || learner {
		n.heard[m.GetFrom()] = n.ticks
	}
	if m.GetType() == raftpb.MsgReadIndex {
		n.stepReadIndex(m)
		return nil
	}
	if n.sayFarewell(m) || m.GetType() == raftpb.MsgTimeoutNow && !n.mayCampaign() {
		return nil
	}
	if m.GetType() == raftpb.MsgSnap && len(n.held) > 0 {
		n.heldSnapshot = m // an earlier one that waits was sent before, or is as good as lost
		return nil
	}
	if n.tooMuch(m) || n.baseless(m) {
		return nil // as if it had been lost: it comes again
	}
	if m.GetType() == raftpb.MsgHeartbeat && m.GetTerm() >= n.term {
		if ok, err := n.hasCommitted(m); !ok {
			return err
		}
	}
	n.stepOther(m)
	return nil
}

// hasCommitted says whether the log has what a heartbeat says is committed in it: Raft panics
// otherwise. A leader never names a later commit than what this machine has acknowledged to
// it, in this term, and in one term no entry goes away; so a machine that has less has
// lost it. That is final, so only a member of the configuration is believed, or anybody as long
// as this machine knows no configuration. A leader that this machine does not know as a
// member, although it has been told so once, it does not meet: between that entry and the
// first heartbeat of that leader the other members have learned how far this machine's disk
// was, and refuse it with less (package witness).
func (n *Node) hasCommitted(m *raftpb.Message) (bool, error) {
	switch voter, learner := n.isMember(m.GetFrom()); {
	case m.GetCommit() <= n.surely:
		return true, nil
	case m.GetCommit() <= n.lastIndex:
		return false, nil // an append that was just taken may have cut the log off: it comes again
	case !voter && !learner && n.knowsMembers():
		return false, fmt.Errorf("raftnode: a heartbeat is refused: %016x, which is no member that this machine knows, says that entry %d is here, and the log ends at %d",
			m.GetFrom(), m.GetCommit(), n.lastIndex)
	}
	return false, fmt.Errorf("%w: %016x says that entry %d is here, and the log ends at %d", ErrLost, m.GetFrom(), m.GetCommit(), n.lastIndex)
}

// stepOther gives Raft a message of another machine.
func (n *Node) stepOther(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp:
		if entries := m.GetEntries(); len(entries) > 0 {
			n.surely = min(n.surely, entries[len(entries)-1].GetIndex())
		}
	case raftpb.MsgSnap:
		n.surely = min(n.surely, m.GetSnapshot().GetMetadata().GetIndex())
	}
	// A message from one that has been removed meanwhile is no error of ours.
	_ = n.raw.Step(m)
}

// sayFarewell gives the only voter that is left the vote of this machine, which was
// removed, for as long as that one does not know it. Raft would refuse it if the log of
// this machine is longer; but as long as both voted nothing was committed that is not in
// the log of the other one, and this machine has nobody else to vote for.
func (n *Node) sayFarewell(m *raftpb.Message) bool {
	answer := raftpb.MsgVoteResp
	switch m.GetType() {
	case raftpb.MsgPreVote:
		answer = raftpb.MsgPreVoteResp
	case raftpb.MsgVote:
	default:
		return false
	}
	if voters := n.confState.GetVoters(); !n.left || len(voters) != 1 || voters[0] != m.GetFrom() {
		return false
	}
	n.work.Messages = append(n.work.Messages, &raftpb.Message{
		Type: answer.Enum(), From: new(n.cfg.MemberID), To: m.From, Term: m.Term,
	})
	return true
}

// stepReadIndex takes the question of another member that holds this one for the
// leader. If it is not, nobody answers: Raft would pass the question on in the name of
// the one who asked, which no member believes, and that one asks again when it hears
// who leads.
func (n *Node) stepReadIndex(m *raftpb.Message) {
	switch {
	case n.aloneAndNew():
		if len(n.heldReads) < maxHeldReads {
			n.heldReads = append(n.heldReads, m) // see askReadIndex
		}
	case n.raw.BasicStatus().RaftState == raft.StateLeader:
		n.stepOther(m)
	}
}

// alive says whether a member was heard within an election timeout. Raft's own notion
// starts anew with every leader, and every election timeout.
func (n *Node) alive(id uint64) bool {
	tick, ok := n.heard[id]
	return id == n.cfg.MemberID || ok && n.ticks-tick <= n.cfg.ElectionTicks
}

// losesQuorum says whether too few of the voters would remain without this one.
func (n *Node) losesQuorum(without uint64) bool {
	alive, voters := 0, 0
	for _, id := range n.confState.GetVoters() {
		if id == without {
			continue
		}
		voters++
		if n.alive(id) {
			alive++
		}
	}
	return alive <= voters/2
}

// Unreachable reports that messages to a member may have been lost.
func (n *Node) Unreachable(member uint64) {
	n.raw.ReportUnreachable(member)
	if member == n.leader {
		n.reads.askSoon(n.ticks, n.cfg.ElectionTicks)
	}
}

// SnapshotSent reports how sending a snapshot to a member has ended.
func (n *Node) SnapshotSent(member uint64, ok bool) {
	status := raft.SnapshotFinish
	voter, learner := n.isMember(member)
	switch {
	case !ok:
		status = raft.SnapshotFailure
	case voter, learner: // it may have been removed meanwhile
		n.fed[member] = true
	}
	n.raw.ReportSnapshot(member, status)
}

// Transfer hands the leadership to the member that is furthest of those alive. It returns
// false if this machine does not lead or there is nobody to lead instead.
func (n *Node) Transfer() bool {
	// Of a follower Raft would take it for a request to pass on.
	if n.raw.BasicStatus().RaftState != raft.StateLeader {
		return false
	}
	best, match := uint64(raft.None), uint64(0)
	n.raw.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if id != n.cfg.MemberID && typ == raft.ProgressTypePeer && n.alive(id) && pr.Match >= match {
			best, match = id, pr.Match
		}
	})
	if best == raft.None {
		return false
	}
	n.raw.TransferLeader(best)
	return true
}

// knowsMembers says whether this machine knows who belongs to the cluster. One that joins does
// not, until the leader has told it.
func (n *Node) knowsMembers() bool { return len(n.confState.GetVoters()) > 0 }

func (n *Node) isMember(id uint64) (voter, learner bool) {
	return slices.Contains(n.confState.GetVoters(), id), slices.Contains(n.confState.GetLearners(), id)
}

// promoteLearner gives a vote to a learner that has caught up.
func (n *Node) promoteLearner() {
	if !n.isLeader || len(n.confState.GetLearners()) == 0 || !n.mayChange() || n.transferring() {
		return
	}
	commit := n.raw.BasicStatus().HardState.GetCommit()
	ready := uint64(raft.None)
	n.raw.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if typ == raft.ProgressTypeLearner && pr.RecentActive && pr.Match+promoteLag >= commit && pr.Match > 0 {
			ready = id
		}
	})
	if ready == raft.None {
		return
	}
	change := &raftpb.ConfChange{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(ready)}
	if err := n.stepChange(change); err != nil {
		n.work.Unpromoted = fmt.Errorf("raftnode: promote %016x: %w", ready, err)
	}
}

// changeMembers lets a committed membership change take effect.
func (n *Node) changeMembers(index uint64, change *raftpb.ConfChange) {
	n.changed = index
	n.setMembers(n.raw.ApplyConfChange(change))
	if change.GetType() == raftpb.ConfChangeRemoveNode {
		delete(n.fed, change.GetNodeId())
		delete(n.origins.members, change.GetNodeId())
		delete(n.versions.told, change.GetNodeId())
	}
	if change.GetType() == raftpb.ConfChangeRemoveNode && change.GetNodeId() == n.cfg.MemberID {
		n.left, n.work.Removed = true, true
	}
}

func (n *Node) setMembers(members *raftpb.ConfState) {
	n.confState, n.storage.members = members, members
}

// install notes that a snapshot of the leader has become the state.
func (n *Node) install(meta *raftpb.SnapshotMetadata) {
	n.setMembers(meta.GetConfState())
	n.installed = meta.GetIndex()
	n.handedOut, n.handedTerm, n.applied = meta.GetIndex(), meta.GetTerm(), meta.GetIndex()
	n.termStart = meta.GetIndex()
	n.sinceCount, n.sinceBytes = 0, 0
	n.proposals.keep() // the snapshot may have what was not handed out here
	n.work.Install = meta
}

// stall is an append that something waits for and that is not durable yet.
type stall struct {
	append *Append
	since  int
}

func (n *Node) stall(a *Append) {
	if a.Urgent {
		n.stalled = append(n.stalled, stall{a, n.ticks})
	}
}

func (n *Node) unstall(a *Append) {
	if len(n.stalled) > 0 && n.stalled[0].append == a {
		n.stalled = n.stalled[1:]
	}
}

// escapeSlowDisk makes a leader whose disk does not answer give way: it could go on
// sending heartbeats for ever while nobody gets an answer from it.
func (n *Node) escapeSlowDisk() {
	if !n.isLeader || len(n.stalled) == 0 || n.ticks-n.stalled[0].since < n.cfg.ElectionTicks || n.transferring() {
		return
	}
	n.work.SlowDisk = n.Transfer()
}
