package raftnode_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/version"
)

// change proposes a conf change; its command says which.
func (s *server) change(kind raftnode.ProposalKind, member uint64) *ticket {
	return s.changeAs(kind, member, fmt.Sprintf("m%d p%d c%d", member, member, member))
}

// changeAs proposes a conf change for a member with a name, peer address and client address.
func (s *server) changeAs(kind raftnode.ProposalKind, member uint64, as string) *ticket {
	t := s.c.ticket(s)
	t.command = s.c.name(changeVerb(kind) + memberName(member) + " " + as)
	s.node.ProposeMember(kind, member, []byte(t.command), t)
	return t
}

func memberName(id uint64) string { return fmt.Sprintf(" %d as", id) }

func changeVerb(kind raftnode.ProposalKind) string {
	if kind == raftnode.KindAdd {
		return "add"
	}
	return "remove"
}

func isChange(command string) bool {
	for _, kind := range []raftnode.ProposalKind{raftnode.KindAdd, raftnode.KindRemove} {
		if _, _, err := describe(kind, []byte(command)); err == nil {
			return true
		}
	}
	return false
}

// describe decodes the commands of changeAs.
func describe(kind raftnode.ProposalKind, command []byte) (m raftnode.Member, commands version.Range, err error) {
	_, err = fmt.Sscanf(string(command), changeVerb(kind)+" %d as %s %s %s", &m.ID, &m.Name, &m.PeerURL, &m.ClientURL)
	if _, said, ok := strings.Cut(string(command), " understands "); ok {
		said, _, _ = strings.Cut(said, " ")
		commands, err = version.Parse(said)
	}
	return m, commands, err
}

// rosterOf returns the roster of a state machine that has applied a log, without checks of its
// own.
func rosterOf(log []record) (r raftnode.Roster) {
	for _, e := range log {
		if e.command == bootstrap {
			r.Members, r.Version = []raftnode.Member{{ID: 1, Name: "m1", PeerURL: "p1", ClientURL: "c1"}}, 1
		}
		if e.command == firstFounder {
			r.Version, r.Unlimited = 1, true
		}
		if n, _ := fmt.Sscanf(e.command, "raise %d", &r.Version); n == 1 { // no match for most commands
			r.Unlimited = false
		}
		added, _, notAdded := describe(raftnode.KindAdd, []byte(e.command))
		removed, _, notRemoved := describe(raftnode.KindRemove, []byte(e.command))
		id := max(added.ID, removed.ID)
		if notAdded != nil && notRemoved != nil || slices.Contains(r.Removed, id) {
			continue
		}
		known := len(r.Members)
		r.Members = slices.DeleteFunc(r.Members, func(other raftnode.Member) bool { return other.ID == id })
		switch {
		case notAdded == nil:
			r.Members = append(r.Members, added)
		case len(r.Members) < known:
			r.Removed = append(r.Removed, id)
		}
	}
	return r
}

// wantRoster checks that Raft's voters and learners are the members by the log, and that no
// two of them share a name or an address.
func (s *server) wantRoster() {
	s.c.t.Helper()
	roster := rosterOf(s.c.log[:s.records])
	var ids []uint64
	has := map[string]uint64{}
	for _, m := range roster.Members {
		ids = append(ids, m.ID)
		for _, what := range []string{m.Name, m.PeerURL, m.ClientURL} {
			if other, taken := has[what]; taken {
				s.c.t.Fatalf("at entry %d both %d and %d have %s", s.handedOut, other, m.ID, what)
			}
			has[what] = m.ID
		}
	}
	slices.Sort(ids)
	if got := s.node.Members(); !slices.Equal(got, ids) {
		s.c.t.Fatalf("at entry %d the members of Raft on %d are %v, those of the state machine %v", s.handedOut, s.id, got, ids)
	}
}

func (c *cluster) wantTaken(t *ticket, by uint64, what error) {
	c.t.Helper()
	taken, ok := errors.AsType[*raftnode.TakenError](c.answers[t].err)
	if !ok || taken.By != by || !errors.Is(taken, what) {
		c.t.Fatalf("%q: got %+v, want %q by %d", t.command, c.answers[t], what, by)
	}
}

// Of two concurrent conf changes for the same name or address, through any machines, one is
// done.
func TestConcurrentJoinsWithSameName(t *testing.T) {
	for _, test := range []struct {
		as   string
		want error
	}{
		{"m8 p9 c9", raftnode.ErrNameTaken},
		{"m9 p8 c9", raftnode.ErrPeerURLTaken},
	} {
		c := grown(repeatable(t), 3)
		f := c.followers()
		first := c.leader().change(raftnode.KindAdd, 8)
		second := f[0].changeAs(raftnode.KindAdd, 9, test.as)
		third := f[1].changeAs(raftnode.KindAdd, 10, strings.ReplaceAll(test.as, "9", "10"))
		c.settle()
		c.wantDone(first)
		c.wantTaken(second, 8, test.want)
		c.wantTaken(third, 8, test.want)
	}
}

// A member may change its name and addresses, but not to those of another.
func TestMemberChangesNameAndAddresses(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[1]
	moved := f.changeAs(raftnode.KindAdd, f.id, "m3 new c3")
	c.settle()
	c.wantDone(moved)
	c.wantVoters(1, 2, 3)
	asAnother := f.changeAs(raftnode.KindAdd, f.id, "m3 p2 c3")
	c.settle()
	c.wantTaken(asAnother, 2, raftnode.ErrPeerURLTaken)
	free := f.changeAs(raftnode.KindAdd, 2, "m2 p3 c2") // which is free now
	c.settle()
	c.wantDone(free)
}

// A join was sent twice, and the second one arrives after the member was removed: it stays
// removed, in Raft and in the state machine.
func TestLateJoinOfRemovedMember(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()
	f[0].change(raftnode.KindAdd, 8)
	c.settle()
	removal := c.leader().change(raftnode.KindRemove, 8)
	again, more := f[0].change(raftnode.KindAdd, 8), f[1].change(raftnode.KindRemove, 8)
	c.settle()
	c.wantDone(removal)
	c.wantFailed(again, raftnode.ErrRemoved)
	c.wantFailed(more, raftnode.ErrRemoved)
	stranger := f[1].change(raftnode.KindRemove, 77)
	c.settle()
	c.wantFailed(stranger, raftnode.ErrUnknownMember)
}

// A new leader checks against the conf changes of its predecessor, too.
func TestNewLeaderKnowsRemovedMembers(t *testing.T) {
	c := grown(repeatable(t), 3)
	c.leader().change(raftnode.KindAdd, 8)
	c.settle()
	old, f := c.leader(), c.followers()
	c.hold = func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgAppResp }
	removal := old.change(raftnode.KindRemove, 8)
	c.settle()
	c.wantOpen(removal)
	c.hold, c.net = nil, nil
	c.isolate(old)
	again := f[1].change(raftnode.KindAdd, 8)
	c.elect(f[0])
	c.pass(2)
	c.wantFailed(again, raftnode.ErrRemoved)
	c.heal()
	c.pass(2)
	c.wantDone(removal)
}

// A command that differs from its conf change would make the members of Raft and of the state
// machine diverge, or end every machine that applies it.
func TestCommandMustMatchConfChange(t *testing.T) {
	c := grown(repeatable(t), 2)
	for _, kind := range []raftnode.ProposalKind{raftnode.KindAdd, raftnode.KindRemove} {
		other := changeVerb(raftnode.KindAdd + raftnode.KindRemove - kind)
		for _, command := range []string{"", "nonsense", changeVerb(kind) + " 1 as m1 p1 c1", other + " 2 as m2 p2 c2"} {
			ticket := c.ticket(c.leader())
			ticket.command = command
			c.leader().node.ProposeMember(kind, 2, []byte(command), ticket)
			c.settle()
			c.wantFailed(ticket, raftnode.ErrBadMember)
		}
	}
}
