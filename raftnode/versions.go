package raftnode

import (
	"errors"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/version"
)

// The version of the cluster says what may be in the log: commands and fields that a later
// version of the program has added are proposed only when the cluster has that version. It is
// in the log itself, never falls, and is the lowest that a member understands until the
// leader raises it.

// ErrVersion is why a machine must not become a member: its program could not apply what may
// be in the log.
var ErrVersion = errors.New("its program does not understand the version of the cluster")

// raiseID is the proposal ID of the entry that raises the version. No caller waits for it, and a
// leader that steps down does not retry: the next one does.
const raiseID = 0

// versions are what this machine knows of the programs of members, and of a raise in flight.
type versions struct {
	ranges  map[uint64]version.Range // which versions of a cluster members understand
	due     uint32                   // what the next call of Work raises the version to, 0 for nothing
	raising uint32                   // what was proposed by this leader and is not applied yet, 0 for nothing
	pending bool                     // a raise was proposed by this leader and is not handed out yet
}

// Understands notes which versions of a cluster the program of a member understands, according
// to its last handshake. The zero range takes that back: the peer may be somebody else.
func (n *Node) Understands(member uint64, commands version.Range) {
	n.members.versions.ranges[member] = commands
}

// Version returns the version that the cluster has, or will have when the raise that this
// leader has in flight is committed: a program that does not understand it can no longer take
// part. It is 0 as long as this machine does not know it.
func (n *Node) Version() uint32 { return max(n.members.roster.Version, n.members.versions.raising) }

// scheduleRaise decides whether the next call of Work raises the version.
func (n *Node) scheduleRaise() {
	v := &n.members.versions
	v.due = 0
	if n.role.leads && n.mayChange() && !n.transferring() && !n.full() {
		v.due = n.members.raisable(n.cfg.Commands, n.alive)
	}
}

// raisable returns the version that the cluster could have instead of a lower one, 0 if there
// is none: all members, those without a vote too, are alive and have told this process that
// they understand it. A dead one may come back with an older program. own is what this
// machine understands. A cluster that has the version but not the limits that come with it, because its
// founders did not agree on any, gets those at once.
func (m *membership) raisable(own version.Range, alive func(id uint64) bool) uint32 {
	switch {
	case m.roster.Version == 0:
		return 0
	case m.roster.Unlimited:
		return m.roster.Version
	}
	common := own
	for _, id := range m.all() {
		if id == m.self {
			continue
		}
		told, ok := m.versions.ranges[id]
		if !ok || !alive(id) {
			return 0
		}
		common.Max = min(common.Max, told.Max)
		common.Min = max(common.Min, told.Min)
	}
	if common.Has(common.Max) && common.Max > m.roster.Version {
		return common.Max
	}
	return 0
}

// raise proposes what scheduleRaise has decided. It counts as a conf change: no machine
// joins meanwhile that could not apply it.
func (n *Node) raise(now uint64) {
	v := &n.members.versions
	to := v.due
	v.due = 0
	if to == 0 || !n.role.leads || !n.mayChange() || n.transferring() {
		return
	}
	if n.step(&raftpb.Entry{Data: encodeEntry(raiseID, now, n.cfg.RaiseTo(to, n.members.roster.Version))}) == nil {
		n.members.noteProposed()
		v.raising, v.pending = to, true
	}
}

// noteRaise notes the index of an entry that raises the version, when it is handed out.
func (m *membership) noteRaise(index, id uint64) {
	if id == raiseID && m.versions.pending {
		m.versions.pending = false
		m.noteHandedOut(index)
	}
}
