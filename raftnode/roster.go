package raftnode

import (
	"errors"
	"fmt"
	"slices"

	"etcd/version"
)

// Reasons for which a membership change is not proposed, besides those that have to do
// with votes.
var (
	// ErrRemoved: the machine was a member and was removed. Its ID is not used again.
	ErrRemoved = errors.New("the machine was removed from the cluster")
	// ErrUnknownMember: no machine with this ID is or was a member.
	ErrUnknownMember = errors.New("the cluster has no such machine")
	// ErrNameTaken and ErrPeerURLTaken: another member has it. They come in a
	// [TakenError]. Members may share a client URL, that of a load balancer for instance.
	ErrNameTaken    = errors.New("another machine has this name")
	ErrPeerURLTaken = errors.New("another machine has this address for machines")
	// ErrBadMember: the command does not do to the list of members what is to be done.
	ErrBadMember = errors.New("the command is not that of the membership change")
)

// TakenError says who has what a member was to get.
type TakenError struct {
	// By is the ID of the other member.
	By uint64
	// Err is ErrNameTaken or ErrPeerURLTaken.
	Err error
}

func (e *TakenError) Error() string { return fmt.Sprintf("%v: member %016x", e.Err, e.By) }

// Unwrap makes errors.Is find what is taken.
func (e *TakenError) Unwrap() error { return e.Err }

func isTaken(err error) bool {
	return err == ErrNameTaken || err == ErrPeerURLTaken
}

// Member is a machine as the state machine lists it.
type Member struct {
	ID                       uint64
	Name, PeerURL, ClientURL string
}

// Roster is who belongs to the cluster, and who did, by the state of this machine, and what
// else the cluster has agreed on that decides who may.
type Roster struct {
	Members []Member
	Removed []uint64
	// Version is that of the cluster, 0 if this machine does not know it.
	Version uint32
	// MaxMembers bounds the size of the cluster, 0 if nothing is agreed on.
	MaxMembers int
}

// SetRoster takes over who the members are. It has to be called before [Node.Applied] of
// the entries that have changed that, and before the first Tick with what was found on
// disk: the leader decides by it, once all changes before are applied, whether a change
// may become an entry. Until that entry is applied it proposes no other change, so that
// what was decided still holds there, on every machine.
func (n *Node) SetRoster(r Roster) {
	n.roster = r
	if n.versions.raising <= r.Version {
		n.versions.raising = 0
	}
}

// checkAdd returns why the machine must not become a member, or be called and reached as
// it wants to be from now on. Only what changes is looked at.
func (n *Node) checkAdd(p *proposal) error {
	m, commands, err := n.cfg.Describe(p.kind, p.command)
	if err != nil || m.ID != p.member {
		return ErrBadMember
	}
	if commands != (version.Range{}) && n.roster.Version > 0 && !commands.Has(n.roster.Version) {
		return ErrVersion
	}
	if slices.Contains(n.roster.Removed, m.ID) {
		return ErrRemoved
	}
	var former Member
	for _, other := range n.roster.Members {
		if other.ID == m.ID {
			former = other
		}
	}
	for _, other := range n.roster.Members {
		switch {
		case other.ID == m.ID:
		case other.Name == m.Name && m.Name != former.Name:
			return &TakenError{By: other.ID, Err: ErrNameTaken}
		case other.PeerURL == m.PeerURL && m.PeerURL != former.PeerURL:
			return &TakenError{By: other.ID, Err: ErrPeerURLTaken}
		}
	}
	voter, learner := n.isMember(m.ID)
	if !voter && !learner && len(n.confState.GetVoters())+len(n.confState.GetLearners()) >= n.maxMembers() {
		return ErrTooManyMembers
	}
	return nil
}

// maxMembers bounds the size of the cluster.
func (n *Node) maxMembers() int {
	if n.roster.MaxMembers > 0 {
		return n.roster.MaxMembers
	}
	return n.cfg.MaxMembers
}

// checkRemove returns why the member must not be removed.
func (n *Node) checkRemove(p *proposal) error {
	member := p.member
	voter, learner := n.isMember(member)
	m, _, err := n.cfg.Describe(p.kind, p.command)
	switch {
	case err != nil || m.ID != member:
		return ErrBadMember
	case !voter && !learner && slices.Contains(n.roster.Removed, member):
		return ErrRemoved
	case !voter && !learner:
		return ErrUnknownMember
	case voter && len(n.confState.GetVoters()) == 1:
		return ErrLastVoter
	case voter && n.losesQuorum(member):
		return ErrLosesQuorum
	}
	return nil
}
