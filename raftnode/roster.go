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
	// ErrRemoved: the machine was a member and was removed. Its ID is never reused.
	ErrRemoved = errors.New("the machine was removed from the cluster")
	// ErrUnknownMember: no machine with this ID is or was a member.
	ErrUnknownMember = errors.New("the cluster has no such machine")
	// ErrNameTaken and ErrPeerURLTaken: another member has it. They come in a
	// [TakenError]. Members may share a client URL, that of a load balancer for instance.
	ErrNameTaken    = errors.New("another machine has this name")
	ErrPeerURLTaken = errors.New("another machine has this peer URL")
	// ErrBadMember: the command does not do the same to the list of members as the conf change.
	ErrBadMember = errors.New("the command does not match the conf change")
)

// TakenError says which member has the name or the address already.
type TakenError struct {
	// By is the ID of the other member.
	By uint64
	// Err is ErrNameTaken or ErrPeerURLTaken.
	Err error
}

func (e *TakenError) Error() string { return fmt.Sprintf("%v: member %016x", e.Err, e.By) }

// Unwrap makes errors.Is find Err.
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
// else the cluster has agreed on that decides who may join.
type Roster struct {
	Members []Member
	Removed []uint64
	// Version is that of the cluster, 0 if this machine does not know it.
	Version uint32
	// MaxMembers bounds the size of the cluster, 0 if nothing is agreed on.
	MaxMembers int
	// Unlimited says that the founders have not agreed on limits: the leader proposes its own.
	Unlimited bool
}

// SetRoster sets who the members are. It has to be called before [Node.Applied] of
// the entries that have changed that, and before the first Tick with what was found on
// disk: once all conf changes before are applied, the leader decides by it whether a change
// may be proposed. Until that entry is applied it proposes no other change, so that the
// decision still holds then, on every machine.
func (n *Node) SetRoster(r Roster) { n.members.setRoster(r) }

func (m *membership) setRoster(r Roster) {
	m.roster = r
	if m.versions.raising <= r.Version {
		m.versions.raising = 0
	}
}

// checkAdd returns why a machine must not become a member, or get the name and the addresses
// of member. Only what changes is checked. commands are the versions of a cluster that its
// program understands, zero if it does not say; maxMembers bounds the size of a cluster that has not
// agreed on one.
func (m *membership) checkAdd(member Member, commands version.Range, maxMembers int) error {
	r := &m.roster
	if commands != (version.Range{}) && r.Version > 0 && !commands.Has(r.Version) {
		return ErrVersion
	}
	if slices.Contains(r.Removed, member.ID) {
		return ErrRemoved
	}
	if member.ID >= founderIDs && !m.has(member.ID) {
		return ErrReservedID
	}
	var former Member
	for _, other := range r.Members {
		if other.ID == member.ID {
			former = other
		}
	}
	for _, other := range r.Members {
		switch {
		case other.ID == member.ID:
		case other.Name == member.Name && member.Name != former.Name:
			return &TakenError{By: other.ID, Err: ErrNameTaken}
		case other.PeerURL == member.PeerURL && member.PeerURL != former.PeerURL:
			return &TakenError{By: other.ID, Err: ErrPeerURLTaken}
		}
	}
	if r.MaxMembers > 0 {
		maxMembers = r.MaxMembers
	}
	if !m.has(member.ID) && len(m.all()) >= maxMembers {
		return ErrTooManyMembers
	}
	return nil
}

// checkRemove returns why a member must not be removed.
func (m *membership) checkRemove(id uint64, alive func(id uint64) bool) error {
	switch {
	case !m.has(id) && slices.Contains(m.roster.Removed, id):
		return ErrRemoved
	case !m.has(id):
		return ErrUnknownMember
	case m.isOnlyVoter(id):
		return ErrLastVoter
	case m.isVoter(id) && m.losesQuorum(id, alive):
		return ErrLosesQuorum
	}
	return nil
}
