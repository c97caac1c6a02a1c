package raftnode

import (
	"encoding/binary"
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

// Forward is a proposal for the leader. It is not proposed yet.
type Forward struct {
	To      uint64
	Payload []byte
}

// Reject tells a machine that a proposal it has forwarded was not proposed, and why.
type Reject struct {
	To      uint64
	Payload []byte
}

// rejectReason travels between machines.
type rejectReason uint8

const (
	rejectNotLeader rejectReason = iota
	rejectOverloaded
	rejectTooManyMembers
	rejectLastVoter
	rejectLosesQuorum
	rejectReservedID
	rejectRemoved
	rejectUnknownMember
	rejectNameTaken
	rejectPeerURLTaken
	rejectClientURLTaken
	rejectBadMember
)

var rejectErrors = map[rejectReason]error{
	rejectOverloaded:     ErrOverloaded,
	rejectTooManyMembers: ErrTooManyMembers,
	rejectLastVoter:      ErrLastVoter,
	rejectLosesQuorum:    ErrLosesQuorum,
	rejectReservedID:     ErrReservedID,
	rejectRemoved:        ErrRemoved,
	rejectUnknownMember:  ErrUnknownMember,
	rejectNameTaken:      ErrNameTaken,
	rejectPeerURLTaken:   ErrPeerURLTaken,
	rejectClientURLTaken: ErrClientURLTaken,
	rejectBadMember:      ErrBadMember,
}

// ProposeMember asks for a member to be added or removed. The command is applied
// by the same entry. token comes back as with Propose.
func (n *Node) ProposeMember(kind ProposalKind, member uint64, command []byte, token any) {
	n.wait(&proposal{kind: kind, member: member, command: command, token: token})
}

// propose gives Raft, or the leader, what has been waiting. Membership changes whose time
// has not come go back into the queue at the end; what is behind them does not wait.
func (n *Node) propose(now uint64) {
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

// forward sends proposals to the leader. They are kept, because they may come back
// as rejected; those that others have forwarded go back to where they came from.
func (n *Node) forward(batch []*proposal) {
	for _, p := range batch {
		if p.origin != raft.None {
			n.refuse(p, errNotLeader)
			continue
		}
		id := n.proposals.add(p, n.term)
		n.work.Forwards = append(n.work.Forwards, Forward{To: n.leader, Payload: encodeForward(p, id, n.term)})
	}
}

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
	entries := make([]*raftpb.Entry, len(batch))
	for i, p := range batch {
		entries[i] = &raftpb.Entry{Data: encodeEntry(n.number(p), now, p.command)}
	}
	if err := n.step(entries...); err != nil {
		for _, p := range batch {
			n.refuse(p, err)
		}
	}
}

// number is the ID an entry carries: that of the machine where somebody waits.
func (n *Node) number(p *proposal) uint64 {
	if p.origin != raft.None {
		return p.originID
	}
	return n.proposals.add(p, n.term)
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
		err = n.checkRemove(p.member)
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
	if err := n.stepChange(change); err != nil {
		n.refuse(p, err)
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

// refuse answers whoever proposed p, here or elsewhere, that it was not proposed.
func (n *Node) refuse(p *proposal, err error) {
	if p.origin == raft.None {
		if errors.Is(err, errNotLeader) {
			n.proposals.reject(p.id)
			return
		}
		n.proposals.take(p.id)
		n.fail(p.token, err)
		return
	}
	n.work.Rejects = append(n.work.Rejects, Reject{To: p.origin, Payload: encodeReject(p.originID, err)})
}

// Forwarded takes a proposal that another member has forwarded, because it takes
// this machine for the leader.
func (n *Node) Forwarded(from uint64, payload []byte) error {
	p, err := decodeForward(payload)
	if err != nil {
		return err
	}
	p.origin = from
	if !n.isLeader || p.term != n.term || n.transferring() {
		n.refuse(p, errNotLeader)
		return nil
	}
	p.deadline = n.ticks + n.cfg.RequestTicks
	if !n.proposals.wait(p) {
		n.refuse(p, ErrOverloaded)
	}
	return nil
}

var errNotLeader = errors.New("not the leader")

// Rejected takes the answer to a Forward that was not proposed.
func (n *Node) Rejected(payload []byte) error {
	id, cause, err := decodeReject(payload)
	switch {
	case err != nil:
		return err
	case cause == errNotLeader:
		n.proposals.reject(id)
	default:
		n.fail(n.proposals.take(id), cause)
	}
	return nil
}

// Undelivered takes back a Forward that was certainly not sent.
func (n *Node) Undelivered(payload []byte) error {
	p, err := decodeForward(payload)
	if err != nil {
		return err
	}
	n.proposals.reject(p.originID)
	return nil
}

// A forwarded proposal: ID 8 | term 8 | kind 1 | member 8 | command. The term is the
// one in which the origin takes the receiver for the leader: in another one it must
// not be proposed, because the origin may have given it to somebody else. A rejected
// one: ID 8 | reason 1, and if another member has what was asked for, its ID 8.
// Little-endian.
const (
	forwardSize = 25
	rejectSize  = 9
)

func encodeForward(p *proposal, id, term uint64) []byte {
	b := make([]byte, 0, forwardSize+len(p.command))
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, term)
	b = append(b, byte(p.kind))
	b = binary.LittleEndian.AppendUint64(b, p.member)
	return append(b, p.command...)
}

func decodeForward(b []byte) (*proposal, error) {
	if len(b) < forwardSize || ProposalKind(b[16]) > KindRemove {
		return nil, fmt.Errorf("raftnode: a forwarded proposal of %d bytes makes no sense", len(b))
	}
	return &proposal{
		originID: binary.LittleEndian.Uint64(b),
		term:     binary.LittleEndian.Uint64(b[8:]),
		kind:     ProposalKind(b[16]),
		member:   binary.LittleEndian.Uint64(b[17:]),
		command:  b[forwardSize:],
	}, nil
}

func encodeReject(id uint64, err error) []byte {
	b := append(binary.LittleEndian.AppendUint64(nil, id), byte(rejectNotLeader))
	for r, e := range rejectErrors {
		if errors.Is(err, e) {
			b[8] = byte(r)
		}
	}
	if taken, ok := errors.AsType[*TakenError](err); ok {
		b = binary.LittleEndian.AppendUint64(b, taken.By)
	}
	return b
}

// decodeReject returns which proposal was not proposed, and why.
func decodeReject(b []byte) (id uint64, cause, err error) {
	if len(b) != rejectSize && len(b) != rejectSize+8 {
		return 0, nil, fmt.Errorf("raftnode: a rejection of %d bytes makes no sense", len(b))
	}
	id, reason := binary.LittleEndian.Uint64(b), rejectReason(b[8])
	if reason == rejectNotLeader {
		return id, errNotLeader, nil
	}
	cause, ok := rejectErrors[reason]
	switch {
	case !ok:
		cause = ErrOverloaded // of a newer version: it was not proposed, whatever the reason
	case len(b) > rejectSize:
		cause = &TakenError{By: binary.LittleEndian.Uint64(b[rejectSize:]), Err: cause}
	}
	return id, cause, nil
}
