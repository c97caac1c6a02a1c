package raftnode

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"etcd/version"
)

const membershipLimit = 4

// leaderOf returns the membership of a leader that has applied everything.
func leaderOf(voters []uint64, learners ...uint64) *membership {
	m := newMembership(1)
	m.conf = &raftpb.ConfState{Voters: voters, Learners: learners}
	r := Roster{Version: 1}
	for _, id := range m.all() {
		r.Members = append(r.Members, Member{ID: id, Name: fmt.Sprint("m", id), PeerURL: fmt.Sprint("http://m", id)})
	}
	m.setRoster(r)
	return &m
}

func everybody(uint64) bool { return true }

// applyAt takes a conf change from its proposal until it is handed out.
func (m *membership) applyAt(index uint64, typ raftpb.ConfChangeType, id uint64) {
	without := func(ids []uint64) []uint64 {
		return slices.DeleteFunc(slices.Clone(ids), func(other uint64) bool { return other == id })
	}
	conf := &raftpb.ConfState{Voters: without(m.voters()), Learners: without(m.learners())}
	switch typ {
	case raftpb.ConfChangeAddNode:
		conf.Voters = append(conf.Voters, id)
	case raftpb.ConfChangeAddLearnerNode:
		conf.Learners = append(conf.Learners, id)
	}
	m.noteProposed()
	m.noteHandedOut(index)
	m.apply(&raftpb.ConfChange{Type: typ.Enum(), NodeId: new(id)}, conf)
}

// Whatever is proposed in whatever order: changes that pass the checks leave a cluster with a
// quorum, and Raft's voters and learners are the members of the state machine.
func TestMembershipStaysValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := leaderOf([]uint64{1})
		roster, index := m.roster, uint64(1)
		dead := map[uint64]bool{}
		alive := func(id uint64) bool { return !dead[id] }
		anID := rapid.Uint64Range(1, 7)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if m.changing {
					t.Skip("one at a time")
				}
				member := Member{
					ID:      anID.Draw(t, "id"),
					Name:    rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "name"),
					PeerURL: rapid.SampledFrom([]string{"http://a", "http://b", "http://c", "http://d", "http://e"}).Draw(t, "URL"),
				}
				if m.checkAdd(member, version.Range{}, membershipLimit) != nil {
					return
				}
				typ := raftpb.ConfChangeAddLearnerNode
				if m.isVoter(member.ID) {
					typ = raftpb.ConfChangeAddNode
				}
				index++
				m.applyAt(index, typ, member.ID)
				roster.Members = slices.DeleteFunc(slices.Clone(roster.Members), func(other Member) bool { return other.ID == member.ID })
				roster.Members = append(roster.Members, member)
			},
			"promote": func(t *rapid.T) {
				if m.changing || len(m.learners()) == 0 {
					t.Skip("nobody")
				}
				index++
				m.applyAt(index, raftpb.ConfChangeAddNode, rapid.SampledFrom(m.learners()).Draw(t, "learner"))
			},
			"remove": func(t *rapid.T) {
				if m.changing {
					t.Skip("one at a time")
				}
				id := anID.Draw(t, "id")
				if m.checkRemove(id, alive) != nil {
					return
				}
				if voted := m.isVoter(id); voted && m.losesQuorum(id, alive) {
					t.Fatalf("%d may go, and too few of the voters %v are alive", id, m.voters())
				}
				index++
				m.applyAt(index, raftpb.ConfChangeRemoveNode, id)
				roster.Members = slices.DeleteFunc(slices.Clone(roster.Members), func(other Member) bool { return other.ID == id })
				roster.Removed = append(slices.Clone(roster.Removed), id)
			},
			"die or come back": func(t *rapid.T) {
				id := anID.Draw(t, "id")
				dead[id] = !dead[id]
			},
			"apply": func(*rapid.T) {
				m.setRoster(roster)
				m.applied(index)
			},
			"": func(t *rapid.T) {
				if len(m.voters()) == 0 || len(m.all()) > membershipLimit {
					t.Fatalf("voters %v, learners %v", m.voters(), m.learners())
				}
				if m.removed == m.has(m.self) {
					t.Fatalf("removed is %v, members are %v", m.removed, m.all())
				}
				if m.changing {
					return
				}
				var listed []uint64
				names, addresses := map[string]bool{}, map[string]bool{}
				for _, member := range m.roster.Members {
					listed = append(listed, member.ID)
					names[member.Name], addresses[member.PeerURL] = true, true
				}
				slices.Sort(listed)
				if all := slices.Sorted(slices.Values(m.all())); !slices.Equal(listed, all) {
					t.Fatalf("Raft counts with %v, and %v are listed", all, listed)
				}
				if len(names) < len(listed) || len(addresses) < len(listed) {
					t.Fatalf("two have the same name or address: %+v", m.roster.Members)
				}
				for _, id := range m.roster.Removed {
					if m.has(id) {
						t.Fatalf("%d was removed and is a member", id)
					}
				}
			},
		})
	})
}

// A change is in flight until its own entry is applied, not one before it.
func TestMembershipChangeInFlight(t *testing.T) {
	m := leaderOf([]uint64{1})
	m.noteProposed()
	m.applied(6)
	if !m.changing {
		t.Fatal("over before its entry was handed out")
	}
	m.noteHandedOut(7)
	m.applied(6)
	if !m.changing {
		t.Fatal("over when the entry before it is applied")
	}
	m.applied(7)
	if m.changing {
		t.Fatal("in flight though it is applied")
	}
	m.noteHandedOut(8) // of another leader
	m.noteProposed()
	m.applied(8)
	if !m.changing {
		t.Fatal("a change of another leader ends that of this one")
	}
	m.stepDown()
	if m.changing {
		t.Fatal("in flight though this machine does not lead any more")
	}
}

func TestMembershipChecks(t *testing.T) {
	old := version.Range{Min: 1, Max: 1}
	m := leaderOf([]uint64{1, 2, 3}, 4)
	m.roster.Removed = []uint64{9}
	dead := func(ids ...uint64) func(uint64) bool {
		return func(id uint64) bool { return !slices.Contains(ids, id) }
	}
	for _, c := range []struct {
		name string
		got  error
		want error
	}{
		{"new", m.checkAdd(Member{ID: 5, Name: "m5", PeerURL: "http://m5"}, old, 9), nil},
		{"one too many", m.checkAdd(Member{ID: 5, Name: "m5", PeerURL: "http://m5"}, old, 4), ErrTooManyMembers},
		{"changed in a full cluster", m.checkAdd(Member{ID: 4, Name: "other", PeerURL: "http://m4"}, old, 4), nil},
		{"was removed", m.checkAdd(Member{ID: 9, Name: "m9", PeerURL: "http://m9"}, old, 9), ErrRemoved},
		{"name of another", m.checkAdd(Member{ID: 5, Name: "m2", PeerURL: "http://m5"}, old, 9), ErrNameTaken},
		{"address of another", m.checkAdd(Member{ID: 5, Name: "m5", PeerURL: "http://m2"}, old, 9), ErrPeerURLTaken},
		{"program of another version", m.checkAdd(Member{ID: 5, Name: "m5", PeerURL: "http://m5"}, version.Range{Min: 2, Max: 3}, 9), ErrVersion},
		{"remove a follower", m.checkRemove(2, everybody), nil},
		{"remove a dead one", m.checkRemove(2, dead(2)), nil},
		{"remove one of two alive", m.checkRemove(2, dead(3)), ErrLosesQuorum},
		{"remove a learner", m.checkRemove(4, dead(2, 3)), nil},
		{"remove again", m.checkRemove(9, everybody), ErrRemoved},
		{"remove a stranger", m.checkRemove(8, everybody), ErrUnknownMember},
		{"remove the last voter", leaderOf([]uint64{1}, 2).checkRemove(1, everybody), ErrLastVoter},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v instead of %v", c.name, c.got, c.want)
		}
	}
	m.roster.MaxMembers = 4
	if err := m.checkAdd(Member{ID: 5, Name: "m5", PeerURL: "http://m5"}, old, 9); !errors.Is(err, ErrTooManyMembers) {
		t.Errorf("what the cluster has agreed on does not count: %v", err)
	}
}

// What a removed member's program understands is forgotten.
func TestMembershipForgetsVersionsOfRemovedMembers(t *testing.T) {
	own := version.Range{Min: 1, Max: 3}
	m := leaderOf([]uint64{1, 2}, 3)
	m.versions.ranges[2] = version.Range{Min: 1, Max: 3}
	m.versions.ranges[3] = version.Range{Min: 1, Max: 2}
	if v := m.raisable(own, everybody); v != 2 {
		t.Fatalf("version %d", v)
	}
	m.applyAt(5, raftpb.ConfChangeRemoveNode, 3)
	if v := m.raisable(own, everybody); v != 3 {
		t.Fatalf("version %d without the learner", v)
	}
	m.applyAt(6, raftpb.ConfChangeAddLearnerNode, 3)
	if v := m.raisable(own, everybody); v != 0 {
		t.Fatalf("version %d, though the new member has said nothing", v)
	}
}
