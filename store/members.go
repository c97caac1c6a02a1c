package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"etcd/store/storepb"
	"etcd/store/tree"
	"etcd/version"
)

// Member is a machine of the cluster.
type Member struct {
	// ID is its Raft id.
	ID uint64
	// Name is unique: the leader ensures that, not the store. It is also the name of a
	// file. A member that has not told it yet has none.
	Name string
	// PeerURL is where other machines reach it.
	PeerURL string
	// ClientURL is where clients reach it; empty as long as the member has not told it.
	ClientURL string
}

// MembersDir holds a file for every member, for clients of v1 to see and watch.
const MembersDir = "/_etcd/machines"

// MemberChange is what a command does to a member.
type MemberChange struct {
	// Member is the member after the change; if it is removed, only the ID is set.
	Member
	Removes bool
	// Commands are the versions of a cluster that it says it understands; zero if it does
	// not say.
	Commands version.Range
}

// DecodeMember returns what a command that is to be proposed does to a member. It fails if the
// command is malformed, longer than any member needs, or not about a member.
func DecodeMember(command []byte) (MemberChange, error) {
	if err := checkSize(command); err != nil {
		return MemberChange{}, err
	}
	c, err := decode(command)
	if err != nil {
		return MemberChange{}, fmt.Errorf("store: invalid command: %w", err)
	}
	switch kind := c.GetKind().(type) {
	case *storepb.Command_SetMember:
		m := memberOf(kind.SetMember.GetMember())
		if err := m.checkLengths(); err != nil {
			return MemberChange{}, fmt.Errorf("store: invalid member: %w", err)
		}
		u := kind.SetMember.GetUnderstands()
		return MemberChange{Member: m, Commands: version.Range{Min: u.GetMin(), Max: u.GetMax()}}, nil
	case *storepb.Command_RemoveMember:
		return MemberChange{Member: Member{ID: kind.RemoveMember.GetId()}, Removes: true}, nil
	}
	return MemberChange{}, errors.New("store: not a member command")
}

func memberOf(m *storepb.Member) Member {
	return Member{ID: m.GetId(), Name: m.GetName(), PeerURL: m.GetPeerUrl(), ClientURL: m.GetClientUrl()}
}

func (m Member) path() string { return MembersDir + "/" + m.Name }

func (m Member) value() string { return "raft=" + m.PeerURL + "&etcd=" + m.ClientURL }

func byID(m Member, id uint64) int { return cmp.Compare(m.ID, id) }

// setMember adds a member or changes one, and writes its file. Membership does
// not depend on that: if keys of clients are in the way of the file, it is left
// out, and there is no event. The file of a former name is removed without an
// event, because a command has at most one.
func (s *Store) setMember(m *storepb.Member) tree.Outcome {
	if _, gone := slices.BinarySearch(s.removed, m.GetId()); gone {
		return tree.Outcome{} // an ID is never reused
	}
	member := memberOf(m)
	members := slices.Clone(s.members)
	at, found := slices.BinarySearchFunc(members, member.ID, byID)
	var former Member
	if found {
		former, members[at] = members[at], member
	} else {
		members = slices.Insert(members, at, member)
	}
	s.members = members

	if file := s.orphanedFile(former); file != "" {
		s.tree.Unlink(s.index, file)
	}
	if member.Name == "" || member.ClientURL == "" && s.version >= VersionOfFounders {
		return tree.Outcome{} // clients cannot use it yet
	}
	outcome := s.tree.SetRegardless(s.index, s.time, &storepb.Set{Path: member.path(), Value: []byte(member.value())})
	return tree.Outcome{Event: outcome.Event, Published: outcome.Published}
}

// removeMember removes a member and its file, if there is such a member.
func (s *Store) removeMember(id uint64) tree.Outcome {
	at, found := slices.BinarySearchFunc(s.members, id, byID)
	if !found {
		return tree.Outcome{}
	}
	member := s.members[at]
	s.members = slices.Delete(slices.Clone(s.members), at, at+1)
	if at, found := slices.BinarySearch(s.removed, id); !found {
		s.removed = slices.Insert(slices.Clone(s.removed), at, id)
	}
	file := s.orphanedFile(member)
	if file == "" {
		return tree.Outcome{}
	}
	outcome := s.tree.Delete(s.index, &storepb.Delete{Path: file})
	return tree.Outcome{Event: outcome.Event, Published: outcome.Published}
}

// orphanedFile returns the path of the file of a former member, "" if there is none or a
// present member has its name.
func (s *Store) orphanedFile(former Member) string {
	if former.Name == "" || slices.ContainsFunc(s.members, func(m Member) bool { return m.Name == former.Name }) {
		return ""
	}
	if file, _ := s.tree.Get(former.path()); file == nil || file.Dir {
		return ""
	}
	return former.path()
}
