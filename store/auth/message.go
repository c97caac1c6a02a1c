package auth

import (
	"errors"

	"etcd/store/storepb"
)

// Message returns the state as it is in a snapshot; nil if there is nothing to write.
func (s *State) Message() *storepb.Users {
	if s.Revision() == 0 {
		return nil
	}
	m := &storepb.Users{Revision: s.revision, Enabled: s.enabled, GuestDeleted: s.guestDeleted}
	for _, name := range s.Users() {
		u := s.users[name]
		m.Users = append(m.Users, &storepb.User{Name: u.Name, Hash: u.Hash, Roles: list(u.Roles)})
	}
	for _, name := range s.Roles() {
		if r := s.roles[name]; r != nil {
			m.Roles = append(m.Roles, &storepb.Role{Name: r.Name, Read: list(r.Read), Write: list(r.Write)})
		}
	}
	return m
}

// FromMessage returns the state of a snapshot. It fails if commands cannot have led to it.
func FromMessage(m *storepb.Users) (*State, error) {
	if m.GetRevision() == 0 {
		return nil, errors.New("no revision")
	}
	s := &State{
		revision: m.GetRevision(), enabled: m.GetEnabled(), guestDeleted: m.GetGuestDeleted(),
		users: make(map[string]*User, len(m.GetUsers())), roles: make(map[string]*Role, len(m.GetRoles())),
	}
	last := ""
	for _, u := range m.GetUsers() {
		if u.GetName() <= last {
			return nil, errors.New("users are out of order")
		}
		last = u.GetName()
		s.users[last] = &User{Name: last, Hash: u.GetHash(), Roles: values(u.GetRoles())}
		s.size += s.users[last].size()
	}
	last = ""
	for _, r := range m.GetRoles() {
		if r.GetName() <= last || r.GetName() == Root {
			return nil, errors.New("roles are out of order")
		}
		last = r.GetName()
		s.roles[last] = &Role{Name: last, Read: values(r.GetRead()), Write: values(r.GetWrite())}
		s.size += s.roles[last].size()
	}
	if s.enabled && s.users[Root] == nil {
		return nil, errors.New("no user root")
	}
	return s, nil
}
