package raftnode

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// ProposalKind says what a proposal is.
type ProposalKind uint8

// The kinds of proposals. The numbers travel between machines.
const (
	// KindCommand is a command for the state machine.
	KindCommand ProposalKind = iota
	// KindAdd adds a member as a learner, which is promoted by itself when it has
	// caught up, or changes the name and the addresses of a member.
	KindAdd
	// KindRemove removes a member.
	KindRemove
)

// ProposeMember asks for a member to be added or removed. The command is applied
// by the same entry. token comes back as with Propose.
func (n *Node) ProposeMember(kind ProposalKind, member uint64, command []byte, token any) {
	n.wait(&proposal{kind: kind, member: member, command: command, token: token})
}

// propose gives Raft, or the leader, what has been waiting. Membership changes whose time
// has not come go back into the queue at the end; what is behind them does not wait.
func (n *Node) propose(now uint64) {
	n.raise(now)
	var changes []*proposal
	for n.leader != raft.None && !n.transferring() {
		batch := n.proposals.takeWaiting(maxMessageBytes)
		if len(batch) == 0 {
			break
		}
		if !n.isLeader {
			n.forward(batch)
			continue
		}
		changes = n.lead(batch, changes, now)
	}
	if len(changes) == 0 {
		return
	}
	n.proposals.putBack(changes)
	if n.mayChange() && n.removesItself(changes[0]) {
		n.Transfer()
	}
}

func (n *Node) transferring() bool { return n.raw.BasicStatus().LeadTransferee != raft.None }

// lead proposes a batch as the leader. Its entries carry the time now, at which they enter
// the log: however long a command has waited for a leader, a time to live counts from here.
// That n.term is the term in which Raft appends it
// rests on this: Raft cannot win an election between two calls of Work, because the vote
// for itself goes through an Append.
//
// Commands go in one message, because each message costs Raft an acknowledgement to
// itself, and a membership change by itself. Changes that have to wait, and all changes
// after one that has to, are appended to waiting.
func (n *Node) lead(batch, waiting []*proposal, now uint64) []*proposal {
	commands := batch[:0]
	for _, p := range batch {
		switch {
		case p.origin != raft.None && p.term != n.term:
			n.refuse(p, errNotLeader)
		case p.kind == KindCommand:
			commands = append(commands, p)
		case len(waiting) > 0 || !n.mayChange() || n.tooEarlyToTell(p) || n.removesItself(p):
			waiting = append(waiting, p)
		default:
			n.leadCommands(commands, now)
			commands = commands[len(commands):]
			n.leadChange(p, now)
		}
	}
	n.leadCommands(commands, now)
	return waiting
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

func (n *Node) leadCommands(batch []*proposal, now uint64) {
	if len(batch) == 0 {
		return
	}
	if n.full() {
		for _, p := range batch {
			n.refuse(p, ErrOverloaded)
		}
		return
	}
	entries := make([]*raftpb.Entry, len(batch))
	for i, p := range batch {
		entries[i] = &raftpb.Entry{Data: encodeEntry(n.number(p), now, p.command)}
	}
	err := n.step(entries...)
	for _, p := range batch {
		n.stepped(p, err)
	}
}

// stepped ends the wait of a proposal that was given to Raft.
func (n *Node) stepped(p *proposal, err error) {
	switch {
	case err != nil:
		n.refuse(p, err)
	case p.origin != raft.None:
		n.proposals.drop(p) // it is kept by whoever has forwarded it
	}
}

// number is the ID an entry carries: that of the machine where somebody waits.
func (n *Node) number(p *proposal) uint64 {
	if p.origin != raft.None {
		return p.originID
	}
	p.leader = raft.None
	n.proposals.add(p, n.term)
	return p.id
}

func (n *Node) step(entries ...*raftpb.Entry) error {
	err := n.raw.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(n.cfg.MemberID), Entries: entries})
	if !errors.Is(err, raft.ErrProposalDropped) {
		return err
	}
	if status := n.raw.BasicStatus(); status.RaftState != raft.StateLeader || status.LeadTransferee != raft.None {
		return errNotLeader // Raft knows already what Work has not said yet
	}
	return ErrOverloaded
}

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
