package auth

import (
	"maps"
	"slices"
)

// The user and the roles that have a meaning of their own.
const (
	// Root is the user without whom users and roles cannot be turned on, and the role that may do
	// everything.
	Root = "root"
	// Guest is the role of whoever names no user.
	Guest = "guest"
)

// everything is the patterns of the roles that may read and write all keys.
var everything = []string{"/*"}

// State is the users and roles at one moment. The zero State, and nil, has none, and is off.
type State struct {
	revision     uint64
	enabled      bool
	guestDeleted bool
	users        map[string]*User
	roles        map[string]*Role // without Root, which nobody can change
	size         int              // of all users and roles, in bytes
}

// User is a user. It never changes.
type User struct {
	Name string
	// Hash is that of the password.
	Hash string
	// Roles are in the order in which they were granted; nil: none ever were. Roles need not exist.
	Roles []string
}

// Role is a role. It never changes.
type Role struct {
	Name string
	// Read and Write are patterns of keys, in the order in which they were granted; nil: none ever
	// were.
	Read, Write []string
}

var rootRole = &Role{Name: Root, Read: everything, Write: everything}

// Enabled reports whether users and roles are on.
func (s *State) Enabled() bool { return s != nil && s.enabled }

// Revision returns the index of the last command that has changed anything; 0: none has.
func (s *State) Revision() uint64 {
	if s == nil {
		return 0
	}
	return s.revision
}

// User returns a user, nil if there is none of that name.
func (s *State) User(name string) *User {
	if s == nil {
		return nil
	}
	u := s.users[name]
	if u == nil || name != Root || slices.Contains(u.Roles, Root) {
		return u
	}
	return &User{Name: u.Name, Hash: u.Hash, Roles: append(slices.Clone(u.Roles), Root)}
}

// Role returns a role, nil if there is none of that name.
func (s *State) Role(name string) *Role {
	switch {
	case name == Root:
		return rootRole
	case s == nil:
		return nil
	}
	return s.roles[name]
}

// Users returns the names of all users, sorted.
func (s *State) Users() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.users))
}

// Roles returns the names of all roles, sorted, Root included.
func (s *State) Roles() []string {
	if s == nil {
		return []string{Root}
	}
	return slices.Sorted(maps.Keys(with(s.roles, rootRole.Name, rootRole)))
}

// with returns a copy of a map with another entry.
func with[V any](m map[string]*V, name string, v *V) map[string]*V {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]*V)
	}
	m[name] = v
	return m
}

// without returns a copy of a map that lacks an entry.
func without[V any](m map[string]*V, name string) map[string]*V {
	m = maps.Clone(m)
	delete(m, name)
	return m
}
