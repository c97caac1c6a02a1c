package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// reservedIDs are from here on: Raft has uses of its own for some of them.
const reservedIDs = 1 << 63

// alive says whether a member was heard within an election timeout. Raft's own notion
// starts anew with every leader, and every election timeout.
func (n *Node) alive(id uint64) bool {
	tick, ok := n.heard[id]
	return id == n.cfg.MemberID || ok && n.ticks-tick <= n.cfg.ElectionTicks
}

// losesQuorum says whether too few of the voters would remain without this one.
func (n *Node) losesQuorum(without uint64) bool {
	alive, voters := 0, 0
	for _, id := range n.confState.GetVoters() {
		if id == without {
			continue
		}
		voters++
		if n.alive(id) {
			alive++
		}
	}
	return alive <= voters/2
}

// knowsMembers says whether this machine knows who belongs to the cluster. One that joins does
// not, until the leader has told it.
func (n *Node) knowsMembers() bool { return len(n.confState.GetVoters()) > 0 }

func (n *Node) isMember(id uint64) (voter, learner bool) {
	return slices.Contains(n.confState.GetVoters(), id), slices.Contains(n.confState.GetLearners(), id)
}

func (n *Node) setMembers(members *raftpb.ConfState) {
	n.confState, n.storage.members = members, members
}
