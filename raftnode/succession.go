package raftnode

import (
	"slices"

	"go.etcd.io/raft/v3"
)

// successionTicks is how long one voter after the other waits before it campaigns for a leader whose
// process is gone: that of the one before takes two round trips and two syncs if all is well.
const successionTicks = 2

// succession is the campaign that this machine is going to start because the leader is gone.
type succession struct {
	of   uint64 // the leader
	term uint64 // which it led
	said int    // tick at which it was said to be gone
	at   int    // tick of the campaign; 0: none
}

// Gone reports that nothing listens any more where a member was: its process has ended. If it
// leads, which is returned, nobody needs to wait for the election timeout. This member forgets it,
// lest it withhold its vote from others because of that leader, and campaigns soon. If it is wrong,
// because the leader can be reached by the others, these have not forgotten it, and refuse the PreVote.
func (n *Node) Gone(member uint64) (led bool) {
	now := n.raw.BasicStatus()
	if member == n.cfg.MemberID || member != now.Lead {
		return false
	}
	_ = n.raw.ForgetLeader() // it fails for an option that is not in use
	others := slices.DeleteFunc(slices.Sorted(slices.Values(n.members.voters())), func(id uint64) bool { return id == member })
	if turn := slices.Index(others, n.cfg.MemberID); turn >= 0 {
		n.role.succession = succession{of: member, term: now.HardState.GetTerm(), said: n.ticks, at: n.ticks + 1 + turn*successionTicks}
	}
	return true
}

// succeed campaigns when it is the turn of this member, unless another one has begun to, or the
// leader was heard from since.
func (n *Node) succeed() {
	s := n.role.succession
	if s.at == 0 || n.ticks < s.at {
		return
	}
	n.role.succession = succession{}
	now := n.raw.BasicStatus()
	if now.Lead == raft.None && now.RaftState == raft.StateFollower && now.HardState.GetTerm() == s.term && n.heard[s.of] <= s.said && n.mayCampaign() {
		_ = n.raw.Campaign() // otherwise the election timeout is waited for
	}
}
