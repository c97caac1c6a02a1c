package raftnode

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/raft/v3"
)

// Forward is a proposal for the leader, which is not proposed yet. It may be lost with its
// connection, and is then sent again over the next one: see [Node.Reconnected].
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
	rejectBadMember
	rejectNotLeaderOfTerm
	rejectNoLeader
	rejectBadCommand
	rejectVersion
)

var rejectErrors = map[rejectReason]error{
	rejectNotLeader:       errNotLeader,
	rejectOverloaded:      ErrOverloaded,
	rejectTooManyMembers:  ErrTooManyMembers,
	rejectLastVoter:       ErrLastVoter,
	rejectLosesQuorum:     ErrLosesQuorum,
	rejectReservedID:      ErrReservedID,
	rejectRemoved:         ErrRemoved,
	rejectUnknownMember:   ErrUnknownMember,
	rejectNameTaken:       ErrNameTaken,
	rejectPeerURLTaken:    ErrPeerURLTaken,
	rejectBadMember:       ErrBadMember,
	rejectNotLeaderOfTerm: errNotLeaderOfTerm,
	rejectNoLeader:        ErrNoLeader,
	rejectBadCommand:      ErrBadCommand,
	rejectVersion:         ErrVersion,
}

var (
	// errNotLeader: the machine does not propose it, and has not and never will in that
	// term. It may be proposed elsewhere.
	errNotLeader = errors.New("not the leader")
	// errNotLeaderOfTerm: the machine does not lead in that term any more. It does not know what
	// became of an earlier copy of the same proposal.
	errNotLeaderOfTerm = errors.New("not the leader of that term")
)

// forward sends proposals to the leader. They are kept, because the leader may reject
// them; those that others have forwarded are rejected to their origins.
func (n *Node) forward(batch []*proposal) {
	for _, p := range batch {
		switch {
		case p.origin != raft.None:
			n.refuse(p, errNotLeader)
		case n.proposals.nextID-n.proposals.low() >= forwardWindow:
			n.proposals.uncount(p)
			n.fail(p.token, ErrOverloaded)
		default:
			p.leader = n.role.leader
			n.proposals.add(p, n.role.term)
			n.send(p)
		}
	}
}

func (n *Node) send(p *proposal) {
	n.work.Forwards = append(n.work.Forwards, Forward{To: p.leader, Payload: n.encodeForward(p)})
}

// Reconnected reports that forwards and rejections to a member go over a new connection. What
// was sent last over the one before may be lost. So this machine sends again what it has
// forwarded to the member in the present term and is not settled; a leader decides once about
// each. And as a leader it repeats its rejections.
func (n *Node) Reconnected(member uint64) {
	n.resend(func(p *proposal) bool { return p.leader == member })
	if o := n.origins.members[member]; o != nil {
		for _, id := range slices.Sorted(maps.Keys(o.refused)) {
			if id >= o.low {
				n.reject(member, id, o.refused[id])
			}
		}
	}
}

// resend repeats forwards of the present term.
func (n *Node) resend(match func(p *proposal) bool) {
	var lost []*proposal
	for _, p := range n.proposals.inflight {
		if p.leader != raft.None && p.term == n.role.term && match(p) {
			lost = append(lost, p)
		}
	}
	slices.SortFunc(lost, func(a, b *proposal) int { return cmp.Compare(a.id, b.id) })
	for _, p := range lost {
		p.resent, p.unsent = true, false
		n.send(p)
	}
}

// Forwarded takes a proposal that another member has forwarded, because it takes
// this machine for the leader. bad is the result of [CheckForward] for the payload. The error
// is one to be logged: either the payload is malformed, or the command must not become an
// entry, of which its origin is informed.
func (n *Node) Forwarded(from uint64, payload []byte, bad error) error {
	p, err := decodeForward(payload)
	if err != nil {
		return err
	}
	p.origin, p.deadline = from, n.ticks+n.cfg.RequestTicks
	if !n.role.leads || p.term != n.role.term || !n.members.has(from) {
		n.reject(from, p.originID, errNotLeaderOfTerm)
		return nil
	}
	o := n.origins.of(p)
	o.advance(p.low)
	if err, refused := o.refused[p.originID]; refused {
		n.reject(from, p.originID, err)
		return nil
	}
	if !o.accept(p.originID) {
		return nil // it is sent again
	}
	if bad != nil {
		n.refuse(p, ErrBadCommand)
		return bad
	}
	switch {
	case n.transferring():
		n.refuse(p, errNotLeader)
	case !n.proposals.enqueue(p):
		n.refuse(p, ErrOverloaded)
	}
	return nil
}

// CheckForward returns why what another member has forwarded must not become an entry: an
// entry that cannot be applied ends every machine. A command has at most maxCommand bytes, and
// check validates one for the state machine. That takes time if it is long, so it needs no
// Node, and is done where only its sender waits for it. Conf changes are checked in
// [Node.proposeChange].
func CheckForward(payload []byte, maxCommand int, check func(command []byte) error) error {
	p, err := decodeForward(payload)
	switch {
	case err != nil:
		return err
	case len(p.command) > maxCommand:
		return fmt.Errorf("raftnode: forwarded command of %d bytes exceeds the limit of %d", len(p.command), maxCommand)
	case p.kind != KindCommand:
		return nil
	}
	return check(p.command)
}

// refuse answers the proposer of p, here or elsewhere, that it was not proposed. For a
// proposal that was forwarded that is final.
func (n *Node) refuse(p *proposal, err error) {
	if p.origin == raft.None {
		if errors.Is(err, errNotLeader) {
			n.proposals.reject(p.id)
			return
		}
		n.proposals.take(p.id)
		n.proposals.uncount(p)
		n.fail(p.token, err)
		return
	}
	n.proposals.uncount(p)
	n.origins.refuse(p, err)
	n.reject(p.origin, p.originID, err)
}

func (n *Node) reject(member, id uint64, err error) {
	n.work.Rejects = append(n.work.Rejects, Reject{To: member, Payload: encodeReject(id, err)})
}

// Rejected takes the answer of a member to a Forward that was not proposed. Only the member
// to which it was forwarded can know that.
func (n *Node) Rejected(from uint64, payload []byte) error {
	id, cause, err := decodeReject(payload)
	if err != nil {
		return err
	}
	p, ok := n.proposals.inflight[id]
	switch {
	case !ok || p.leader != from: // it was settled before, or was forwarded to another member
	case cause == errNotLeaderOfTerm && p.resent: // the first copy may have been proposed: the next term will show
	case cause == errNotLeaderOfTerm, cause == errNotLeader:
		n.proposals.reject(id)
	default:
		n.fail(n.proposals.take(id), cause)
	}
	return nil
}

// Undelivered takes back a Forward that was certainly not sent.
func (n *Node) Undelivered(payload []byte) error {
	sent, err := decodeForward(payload)
	if err != nil {
		return err
	}
	p, ok := n.proposals.inflight[sent.originID]
	switch {
	case !ok:
	case p.resent: // an earlier copy was
		p.unsent, n.proposals.unsent = true, true
	default:
		n.proposals.reject(p.id)
	}
	return nil
}

// retryUnsent retries, once every election timeout, what could not be sent again. That is for
// queues that were full: without a connection, the next one causes a retry first.
func (n *Node) retryUnsent() {
	if n.proposals.unsent && n.ticks%n.cfg.ElectionTicks == 0 {
		n.proposals.unsent = false
		n.resend(func(p *proposal) bool { return p.unsent })
	}
}

// A forwarded proposal: ID 8 | low 8 | process 8 | term 8 | kind 1 | member 8 | command.
// The process has numbered it, and has none below low in flight. The term is the
// one in which the origin takes the receiver for the leader: in another one it must
// not be proposed, because the origin may have forwarded it to another member. A rejected
// one: ID 8 | reason 1, and if another member has the requested name or address, its ID 8.
// Little-endian.
const (
	forwardSize = 41
	rejectSize  = 9
)

func (n *Node) encodeForward(p *proposal) []byte {
	b := make([]byte, 0, forwardSize+len(p.command))
	b = binary.LittleEndian.AppendUint64(b, p.id)
	b = binary.LittleEndian.AppendUint64(b, n.proposals.low())
	b = binary.LittleEndian.AppendUint64(b, n.cfg.FirstProposalID)
	b = binary.LittleEndian.AppendUint64(b, p.term)
	b = append(b, byte(p.kind))
	b = binary.LittleEndian.AppendUint64(b, p.member)
	return append(b, p.command...)
}

func decodeForward(b []byte) (*proposal, error) {
	if len(b) < forwardSize || ProposalKind(b[32]) > KindRemove {
		return nil, fmt.Errorf("raftnode: malformed forwarded proposal of %d bytes", len(b))
	}
	p := &proposal{
		originID: binary.LittleEndian.Uint64(b),
		low:      binary.LittleEndian.Uint64(b[8:]),
		process:  binary.LittleEndian.Uint64(b[16:]),
		term:     binary.LittleEndian.Uint64(b[24:]),
		kind:     ProposalKind(b[32]),
		member:   binary.LittleEndian.Uint64(b[33:]),
		command:  b[forwardSize:],
	}
	if p.originID < p.low || p.originID-p.low > forwardWindow {
		return nil, fmt.Errorf("raftnode: malformed forwarded proposal: ID %d, lowest in flight %d", p.originID, p.low)
	}
	return p, nil
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
		return 0, nil, fmt.Errorf("raftnode: malformed rejection of %d bytes", len(b))
	}
	id = binary.LittleEndian.Uint64(b)
	cause, ok := rejectErrors[rejectReason(b[8])]
	switch {
	case !ok:
		cause = ErrOverloaded // of a newer version: it was not proposed, whatever the reason
	case len(b) > rejectSize && isTaken(cause):
		cause = &TakenError{By: binary.LittleEndian.Uint64(b[rejectSize:]), Err: cause}
	}
	return id, cause, nil
}
