package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3"
)

// successionTicks is how long one voter after the other waits before it campaigns for a leader whose
// process is gone: the time that a vote takes, so that two do not split it.
const successionTicks = 2

// Gone reports that nothing listens any more where a member was: its process has ended. If it
// leads, which is returned, nobody needs to wait for the election timeout. This member forgets it,
// lest it withhold its vote from others because of that leader, and campaigns soon. If it is wrong,
// because the leader can be reached by the others, these have not forgotten it, and refuse the PreVote.
func (n *Node) Gone(member uint64) (led bool) {
	if n.role.leads || member != n.role.leader {
		return false
	}
	_ = n.raw.ForgetLeader() // it fails for an option that is not in use
	others := slices.DeleteFunc(slices.Sorted(slices.Values(n.members.voters())), func(id uint64) bool { return id == member })
	if turn := slices.Index(others, n.cfg.MemberID); turn >= 0 {
		n.role.campaignAt = n.ticks + 1 + turn*successionTicks
	}
	return true
}

// succeed campaigns when it is the turn of this member, and none has won before.
func (n *Node) succeed() {
	if n.role.campaignAt == 0 || n.ticks < n.role.campaignAt {
		return
	}
	n.role.campaignAt = 0
	if n.raw.BasicStatus().Lead == raft.None && n.mayCampaign() {
		_ = n.raw.Campaign() // otherwise the election timeout is waited for
	}
}
