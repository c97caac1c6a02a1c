package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/version"
)

// membership is who belongs to the cluster, as far as this machine knows, and the change of
// that which it has in flight as the leader.
//
// Raft counts with conf from the moment at which a conf change is handed out; the roster is
// what the state machine makes of the same entry when it is applied. In between the two
// differ. A change is decided about only when they agree and none is in flight (see
// [Node.mayChange]), so what is checked then still holds, on every machine, when the change
// is applied.
//
// A version of the cluster that is being raised counts as a change: no member may join
// meanwhile that does not understand it.
type membership struct {
	self        uint64
	conf        *raftpb.ConfState // as of the last entry handed out; never nil
	roster      Roster            // as of the last entry applied
	removed     bool              // this machine was; that is final
	changing    bool              // this leader has a change in flight: proposed and not applied
	changeIndex uint64            // of its entry once that is handed out, 0 before
	versions    versions
}

func newMembership(self uint64) membership {
	return membership{self: self, conf: &raftpb.ConfState{}, versions: versions{ranges: make(map[uint64]version.Range)}}
}

func (m *membership) voters() []uint64   { return m.conf.GetVoters() }
func (m *membership) learners() []uint64 { return m.conf.GetLearners() }
func (m *membership) all() []uint64      { return slices.Concat(m.voters(), m.learners()) }

func (m *membership) isVoter(id uint64) bool { return slices.Contains(m.voters(), id) }
func (m *membership) has(id uint64) bool {
	return m.isVoter(id) || slices.Contains(m.learners(), id)
}

// isOnlyVoter reports whether id is the only voter.
func (m *membership) isOnlyVoter(id uint64) bool { return len(m.voters()) == 1 && m.voters()[0] == id }

// known reports whether this machine knows who belongs to the cluster. One that joins does not,
// until the leader has told it.
func (m *membership) known() bool { return len(m.voters()) > 0 }

// losesQuorum reports whether too few of the voters would be alive without this one.
func (m *membership) losesQuorum(without uint64, alive func(id uint64) bool) bool {
	living, voters := 0, 0
	for _, id := range m.voters() {
		if id == without {
			continue
		}
		voters++
		if alive(id) {
			living++
		}
	}
	return living <= voters/2
}

// noteProposed notes that this leader has proposed a change.
func (m *membership) noteProposed() { m.changing, m.changeIndex = true, 0 }

// noteHandedOut notes the entry of a change, that in flight if there is one, when it is handed out.
func (m *membership) noteHandedOut(index uint64) {
	if m.changing {
		m.changeIndex = index
	}
}

// apply applies a conf change; conf is what Raft has made of it.
func (m *membership) apply(change *raftpb.ConfChange, conf *raftpb.ConfState) {
	m.conf = conf
	if change.GetType() != raftpb.ConfChangeRemoveNode {
		return
	}
	delete(m.versions.ranges, change.GetNodeId())
	if change.GetNodeId() == m.self {
		m.removed = true
	}
}

// applied notes that the state machine has the entries up to an index.
func (m *membership) applied(index uint64) {
	if m.changing && m.changeIndex > 0 && index >= m.changeIndex {
		m.changing, m.changeIndex = false, 0
	}
}

// stepDown forgets the change in flight: this machine does not lead any more, and whether it
// is committed is up to the next leader.
func (m *membership) stepDown() {
	m.changing, m.changeIndex = false, 0
	m.versions.raising, m.versions.pending = 0, false
}

// checkChange returns why Raft cannot carry out a conf change.
func (m *membership) checkChange(change *raftpb.ConfChange) error {
	if removesVote(change) && m.isOnlyVoter(change.GetNodeId()) {
		return fmt.Errorf("conf change leaves no voter: it removes the vote of %016x", change.GetNodeId())
	}
	return nil
}

func removesVote(change *raftpb.ConfChange) bool {
	t := change.GetType()
	return t == raftpb.ConfChangeRemoveNode || t == raftpb.ConfChangeAddLearnerNode
}
