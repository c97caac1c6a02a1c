package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// promoteLag is how many entries a learner may lack to be given a vote.
const promoteLag = 64

// mayChange says whether a membership change may be proposed: one at a time, and
// only when this leader has applied all changes of its predecessors. Then what is
// checked here is still true when the change is applied.
func (n *Node) mayChange() bool {
	return !n.changing && n.handedTerm == n.term && n.applied >= n.termStart
}

// leadChange decides about a membership change. This is the only place where that is
// done: here all changes before are applied, and none comes before this one is.
func (n *Node) leadChange(p *proposal, now uint64) {
	err := ErrReservedID
	change := &raftpb.ConfChange{NodeId: new(p.member)}
	switch {
	case p.member == raft.None || p.member >= reservedIDs:
	case p.kind == KindRemove:
		change.Type = raftpb.ConfChangeRemoveNode.Enum()
		err = n.checkRemove(p)
	default:
		change.Type = raftpb.ConfChangeAddLearnerNode.Enum()
		if voter, _ := n.isMember(p.member); voter { // it must not lose its vote
			change.Type = raftpb.ConfChangeAddNode.Enum()
		}
		err = n.checkAdd(p)
	}
	if err != nil {
		n.refuse(p, err)
		return
	}
	change.Context = encodeEntry(n.number(p), now, p.command)
	n.stepped(p, n.stepChange(change))
}

// tooEarlyToTell says whether p would remove a voter and this leader is so new that it
// may not have heard of all who are alive.
func (n *Node) tooEarlyToTell(p *proposal) bool {
	voter, _ := n.isMember(p.member)
	return p.kind == KindRemove && voter && len(n.confState.GetVoters()) > 1 &&
		n.ticks-n.ledSince <= n.cfg.ElectionTicks && n.losesQuorum(p.member)
}

// removesItself says whether p removes this leader while others vote. Then another one
// has to lead first: whoever is removed is not there any more to tell the others that
// they are without it, and of two machines the one that is left could never lead. The
// leadership is handed over as soon as Raft knows of somebody who could take it, and
// after what waits was proposed: nothing can be while it is under way.
func (n *Node) removesItself(p *proposal) bool {
	return p.kind == KindRemove && p.member == n.cfg.MemberID && len(n.confState.GetVoters()) > 1 && !n.losesQuorum(p.member)
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

func (n *Node) stepChange(change *raftpb.ConfChange) error {
	data, err := proto.Marshal(change)
	if err != nil {
		return fmt.Errorf("raftnode: membership change: %w", err)
	}
	if err := n.step(&raftpb.Entry{Type: raftpb.EntryConfChange.Enum(), Data: data}); err != nil {
		return err
	}
	n.changing, n.changed = true, 0
	return nil
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

// mayChangeTo returns why Raft cannot carry out the membership change of an entry.
func (n *Node) mayChangeTo(c content) error {
	if voters := n.confState.GetVoters(); takesVote(c.change) && len(voters) == 1 && voters[0] == c.change.GetNodeId() {
		return fmt.Errorf("membership change that leaves nobody with a vote: it takes that of %016x", voters[0])
	}
	return nil
}

func takesVote(change *raftpb.ConfChange) bool {
	t := change.GetType()
	return t == raftpb.ConfChangeRemoveNode || t == raftpb.ConfChangeAddLearnerNode
}
