package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// promoteLag is how many entries a learner may lag behind the commit index and still be promoted.
const promoteLag = 64

// reservedIDs is the first reserved ID: Raft uses those from here on itself.
const reservedIDs = raft.LocalApplyThread

// founderIDs is the first ID that only a member has which was there from the beginning: programs
// from before there were such members take it for reserved.
const founderIDs = 1 << 63

// mayChange reports whether a conf change may be proposed: one at a time, and only when this
// leader has applied all changes of its predecessors. Then what is checked here still holds
// when the change is applied.
func (n *Node) mayChange() bool {
	return !n.members.changing && n.committed.term == n.role.term && n.committed.applied >= n.committed.termStart
}

// proposeChange accepts or refuses a conf change. This is the only place that does: here all
// earlier changes are applied, and no other is proposed before this one is applied.
func (n *Node) proposeChange(p *proposal, now uint64) {
	change, err := n.newConfChange(p)
	if err != nil {
		n.refuse(p, err)
		return
	}
	change.Context = encodeEntry(n.entryID(p), now, p.command)
	n.stepped(p, n.stepChange(change))
}

// newConfChange returns the conf change that a proposal asks for, or why it must not happen.
func (n *Node) newConfChange(p *proposal) (*raftpb.ConfChange, error) {
	if p.member == raft.None || p.member >= reservedIDs {
		return nil, ErrReservedID
	}
	m, commands, err := n.cfg.Describe(p.kind, p.command)
	if err != nil || m.ID != p.member {
		return nil, ErrBadMember
	}
	change := &raftpb.ConfChange{NodeId: new(p.member), Type: raftpb.ConfChangeAddLearnerNode.Enum()}
	switch {
	case p.kind == KindRemove:
		change.Type = raftpb.ConfChangeRemoveNode.Enum()
		return change, n.members.checkRemove(p.member, n.alive)
	case n.members.isVoter(p.member): // it must not lose its vote
		change.Type = raftpb.ConfChangeAddNode.Enum()
	}
	return change, n.members.checkAdd(m, commands, n.cfg.MaxMembers)
}

// livenessUnknown reports whether p would remove a voter while this leader is so new that it
// may not have heard from all members that are alive.
func (n *Node) livenessUnknown(p *proposal) bool {
	return p.kind == KindRemove && n.members.isVoter(p.member) && len(n.members.voters()) > 1 &&
		n.ticks-n.role.since <= n.cfg.ElectionTicks && n.members.losesQuorum(p.member, n.alive)
}

// removesSelf reports whether p removes this leader while there are other voters. Then
// another one has to lead first: a removed leader is not there any more to tell the others
// that the removal is committed, and of two machines the remaining one could never lead. The
// leadership is transferred as soon as Raft knows of a voter that could take it, and after
// the waiting proposals were proposed: none can be during a transfer.
func (n *Node) removesSelf(p *proposal) bool {
	return p.kind == KindRemove && p.member == n.cfg.MemberID && len(n.members.voters()) > 1 && !n.members.losesQuorum(p.member, n.alive)
}

// promoteLearner promotes a learner that has caught up.
func (n *Node) promoteLearner() {
	if !n.role.leads || len(n.members.learners()) == 0 || !n.mayChange() || n.transferring() {
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
		n.work.PromoteErr = fmt.Errorf("raftnode: promote %016x: %w", ready, err)
	}
}

func (n *Node) stepChange(change *raftpb.ConfChange) error {
	data, err := proto.Marshal(change)
	if err != nil {
		return fmt.Errorf("raftnode: marshal conf change: %w", err)
	}
	if err := n.step(&raftpb.Entry{Type: raftpb.EntryConfChange.Enum(), Data: data}); err != nil {
		return err
	}
	n.members.noteProposed()
	return nil
}

// changeMembers applies a committed conf change.
func (n *Node) changeMembers(index uint64, change *raftpb.ConfChange) {
	n.members.noteHandedOut(index)
	n.members.apply(change, n.raw.ApplyConfChange(change))
	n.storage.members = n.members.conf
	if change.GetType() != raftpb.ConfChangeRemoveNode {
		return
	}
	delete(n.snapshots.catchingUp, change.GetNodeId())
	delete(n.origins.members, change.GetNodeId())
	if change.GetNodeId() == n.cfg.MemberID {
		n.work.Removed = true
	}
}

// setConf adopts the members of a snapshot.
func (n *Node) setConf(conf *raftpb.ConfState) {
	n.members.conf, n.storage.members = conf, conf
}

// alive reports whether a member was heard from within an election timeout. Raft's own notion
// is reset with every leader, and at every election timeout.
func (n *Node) alive(id uint64) bool {
	tick, ok := n.heard[id]
	return id == n.cfg.MemberID || ok && n.ticks-tick <= n.cfg.ElectionTicks
}
