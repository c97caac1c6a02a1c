package raftnode

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Transfer transfers the leadership to the live voter with the longest log. It returns false
// if this machine does not lead or no other voter is alive.
func (n *Node) Transfer() bool {
	// On a follower Raft would take it for a request to forward to the leader.
	if n.raw.BasicStatus().RaftState != raft.StateLeader {
		return false
	}
	best, match := uint64(raft.None), uint64(0)
	n.raw.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if id != n.cfg.MemberID && typ == raft.ProgressTypePeer && n.alive(id) && pr.Match >= match {
			best, match = id, pr.Match
		}
	})
	if best == raft.None {
		return false
	}
	n.raw.TransferLeader(best)
	return true
}

func (n *Node) transferring() bool { return n.raw.BasicStatus().LeadTransferee != raft.None }

// transferFromStalledDisk makes a leader whose disk has stalled transfer its leadership: it could go on
// sending heartbeats for ever while no request is answered.
func (n *Node) transferFromStalledDisk() {
	if !n.role.leads || len(n.appends.pending) == 0 || n.ticks-n.appends.pending[0].since < n.cfg.ElectionTicks || n.transferring() {
		return
	}
	n.work.DiskStalled = n.Transfer()
}
