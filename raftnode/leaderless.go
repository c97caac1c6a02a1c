package raftnode

import "go.etcd.io/raft/v3"

// reportLeaderlessAfter is after how many election timeouts without a leader that is reported: an election
// takes fewer.
const reportLeaderlessAfter = 3

// Leaderless says that this machine has been without a leader for longer than elections
// take, and which machines could elect one.
type Leaderless struct {
	// Reached are the voters that were heard from within an election timeout, this machine
	// included if it is one. Missing are the other voters.
	Reached, Missing []uint64
}

// Majority returns how many voters an election takes.
func (l *Leaderless) Majority() int { return (len(l.Reached)+len(l.Missing))/2 + 1 }

// countLeaderless counts the ticks without a leader. It reports once until there is one again.
func (n *Node) countLeaderless() {
	voters := n.members.voters()
	if n.role.leader != raft.None || n.members.removed || len(voters) == 0 {
		n.role.leaderless = 0
		return
	}
	n.role.leaderless++
	if n.role.leaderless != reportLeaderlessAfter*n.cfg.ElectionTicks {
		return
	}
	n.work.Leaderless = &Leaderless{}
	for _, id := range voters {
		if n.alive(id) {
			n.work.Leaderless.Reached = append(n.work.Leaderless.Reached, id)
		} else {
			n.work.Leaderless.Missing = append(n.work.Leaderless.Missing, id)
		}
	}
}
