package sim

import (
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// vote checks that a machine gives one vote in a term.
func (o *oracle) vote(m *raftpb.Message) {
	if m.GetType() != raftpb.MsgVoteResp || m.GetReject() {
		return
	}
	key := [2]uint64{m.GetFrom(), m.GetTerm()}
	if other, ok := o.votes[key]; ok && other != m.GetTo() {
		o.sim.fail("%x votes for %x and for %x in term %d", m.GetFrom(), other, m.GetTo(), m.GetTerm())
	}
	o.votes[key] = m.GetTo()
}

// remembers checks that a machine that starts knows its last vote. It is not called for a
// machine that was removed, whose last state need not be on its disk, nor after damage.
func (o *oracle) remembers(m *machine, found *raftpb.HardState) {
	term, vote := found.GetTerm(), found.GetVote()
	for key, to := range o.votes {
		if key[0] == m.memberID && key[1] >= term {
			term, vote = key[1], to
		}
	}
	if term != found.GetTerm() || vote != found.GetVote() {
		o.sim.fail("%s has voted for %x in term %d, and starts with a vote for %x in term %d", m, vote, term, found.GetVote(), found.GetTerm())
	}
}

// leads checks that a term has one leader.
func (o *oracle) leads(l *life, m *raftnode.Leader) {
	l.leads = m.Self
	if !m.Self {
		return
	}
	o.sim.count("leader elected")
	id := l.m.memberID
	if other, ok := o.leaders[m.Term]; ok && other != id {
		o.sim.fail("term %d has two leaders, %x and %s (%x)", m.Term, other, l, id)
	}
	o.leaders[m.Term] = id
}
