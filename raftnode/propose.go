package raftnode

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// ProposalKind says what a proposal is.
type ProposalKind uint8

// The kinds of proposals. The numbers travel between machines.
const (
	// KindCommand is a command for the state machine.
	KindCommand ProposalKind = iota
	// KindAdd adds a member as a learner, which the leader promotes when it has
	// caught up, or changes the name and the addresses of a member.
	KindAdd
	// KindRemove removes a member.
	KindRemove
)

// ProposeMember asks for a member to be added or removed. The command is applied
// by the same entry. token comes back as with Propose.
func (n *Node) ProposeMember(kind ProposalKind, member uint64, command []byte, token any) {
	n.enqueue(&proposal{kind: kind, member: member, command: command, token: token})
}

// propose gives Raft, or the leader, the proposals that wait. Conf changes that may not be
// proposed yet are put back into the queue; later proposals do not wait for them.
func (n *Node) propose(now uint64) {
	n.raise(now)
	var changes []*proposal
	for n.role.leader != raft.None && !n.transferring() {
		batch := n.proposals.takeWaiting(maxMessageBytes)
		if len(batch) == 0 {
			break
		}
		if !n.role.leads {
			n.forward(batch)
			continue
		}
		changes = n.proposeAsLeader(batch, changes, now)
	}
	if len(changes) == 0 {
		return
	}
	n.proposals.putBack(changes)
	if n.mayChange() && n.removesSelf(changes[0]) {
		n.Transfer()
	}
}

// proposeAsLeader proposes a batch as the leader. Its entries carry the time now, at which they enter
// the log: however long a command has waited for a leader, a time to live counts from here.
// n.role.term is the term in which Raft appends them, because Raft cannot win an election
// between two calls of Work: its vote for itself goes through an Append.
//
// Commands go in one message, because each message costs Raft an ack to itself, and a conf
// change goes in one of its own. Changes that have to wait, and all changes after one that
// has to, are appended to waiting.
func (n *Node) proposeAsLeader(batch, waiting []*proposal, now uint64) []*proposal {
	commands := batch[:0]
	for _, p := range batch {
		switch {
		case p.origin != raft.None && p.term != n.role.term:
			n.refuse(p, errNotLeader)
		case p.kind == KindCommand:
			commands = append(commands, p)
		case len(waiting) > 0 || !n.mayChange() || n.livenessUnknown(p) || n.removesSelf(p):
			waiting = append(waiting, p)
		default:
			n.proposeCommands(commands, now)
			commands = commands[len(commands):]
			n.proposeChange(p, now)
		}
	}
	n.proposeCommands(commands, now)
	return waiting
}

func (n *Node) proposeCommands(batch []*proposal, now uint64) {
	if len(batch) == 0 {
		return
	}
	if n.full() {
		for _, p := range batch {
			n.refuse(p, ErrOverloaded)
		}
		return
	}
	err := n.step(n.batch.fill(len(batch), func(i int, data []byte) []byte {
		p := batch[i]
		return appendEnvelope(data, n.entryID(p), now, p.command)
	})...)
	for _, p := range batch {
		n.stepped(p, err)
	}
}

// entryBatch is room for the entries of a batch, which Raft copies.
type entryBatch struct {
	entries []*raftpb.Entry
	data    []byte
}

// maxBatchRoom bounds the bytes that are kept for the next batch.
const maxBatchRoom = 1 << 20

// fill returns n entries, valid until the next call, to each of which add has appended its data.
func (b *entryBatch) fill(n int, add func(i int, data []byte) []byte) []*raftpb.Entry {
	if cap(b.data) > maxBatchRoom {
		b.data = nil
	}
	b.data = b.data[:0]
	for i := range n {
		if i == len(b.entries) {
			b.entries = append(b.entries, &raftpb.Entry{})
		}
		begin := len(b.data)
		b.data = add(i, b.data)
		b.entries[i].Data = b.data[begin:len(b.data):len(b.data)]
	}
	return b.entries[:n]
}

// stepped ends the wait of a proposal that was given to Raft.
func (n *Node) stepped(p *proposal, err error) {
	switch {
	case err != nil:
		n.refuse(p, err)
	case p.origin != raft.None:
		n.proposals.uncount(p) // its origin keeps it
	}
}

// entryID returns the ID that an entry carries: that on the machine where the caller waits.
func (n *Node) entryID(p *proposal) uint64 {
	if p.origin != raft.None {
		return p.originID
	}
	p.leader = raft.None
	n.proposals.add(p, n.role.term)
	return p.id
}

func (n *Node) step(entries ...*raftpb.Entry) error {
	err := n.raw.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(n.cfg.MemberID), Entries: entries})
	if !errors.Is(err, raft.ErrProposalDropped) {
		return err
	}
	if status := n.raw.BasicStatus(); status.RaftState != raft.StateLeader || status.LeadTransferee != raft.None {
		return errNotLeader // Raft knows already what Work has not reported yet
	}
	return ErrOverloaded
}
