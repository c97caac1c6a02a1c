package auth

import (
	"slices"

	"etcd/store/storepb"
)

// Bounds of a state. They are part of what commands mean.
const (
	// maxSize bounds all users and roles together, in bytes.
	maxSize = 8 << 20
	// maxRoles bounds the roles of one user, and maxPatterns the patterns of one role for reading, and
	// those for writing: every request looks at them.
	maxRoles    = 100
	maxPatterns = 1000
	// perUser, perRole and, for each role of a user and each pattern, perText are counted besides what
	// their text takes.
	perUser = 64
	perRole = 64
	perText = 16
)

// Outcome is what a command did to the users and roles.
type Outcome struct {
	// User or Role is what was made or changed, as it is then.
	User *User
	Role *Role
	// Created says that it is new.
	Created bool
	// Failure says why the command was refused, nil if it was not.
	Failure *Failure
}

// Apply returns the state after the command with the given index. It is the same state if the
// command is refused.
func (s *State) Apply(index uint64, c *storepb.Auth) (*State, Outcome) {
	next := &State{revision: index}
	if s != nil {
		*next = *s
		next.revision = index
	}
	out := next.change(c)
	if out.Failure == nil && next.size > maxSize && next.size > s.bytes() {
		out = refused(TooLarge, "", "")
	}
	if out.Failure != nil {
		return s, out
	}
	return next, out
}

func (s *State) bytes() int {
	if s == nil {
		return 0
	}
	return s.size
}

func (s *State) change(c *storepb.Auth) Outcome {
	switch change := c.GetChange().(type) {
	case *storepb.Auth_CreateUser:
		return s.createUser(change.CreateUser)
	case *storepb.Auth_UpdateUser:
		return s.updateUser(change.UpdateUser)
	case *storepb.Auth_DeleteUser:
		return s.deleteUser(change.DeleteUser.GetName())
	case *storepb.Auth_CreateRole:
		return s.createRole(change.CreateRole)
	case *storepb.Auth_UpdateRole:
		return s.updateRole(change.UpdateRole)
	case *storepb.Auth_DeleteRole:
		return s.deleteRole(change.DeleteRole.GetName())
	case *storepb.Auth_Enable:
		return s.enable()
	}
	return s.disable()
}

func refused(code Code, name, of string) Outcome {
	return Outcome{Failure: &Failure{Code: code, Name: name, Of: of}}
}

func (s *State) createUser(c *storepb.CreateUser) Outcome {
	old := s.User(c.GetName())
	switch {
	case old != nil && c.GetOrUpdate():
		return s.updateUser(&storepb.UpdateUser{Name: c.GetName(), Hash: c.GetHash()})
	case c.GetHash() == "":
		return refused(NoPassword, c.GetName(), "")
	case old != nil:
		return refused(UserExists, c.GetName(), "")
	}
	u := &User{Name: c.GetName(), Hash: c.GetHash(), Roles: values(c.GetRoles())}
	if u.Name == Root && !slices.Contains(u.Roles, Root) {
		u.Roles = append(slices.Clone(u.Roles), Root)
	}
	return s.putUser(u, true)
}

func (s *State) updateUser(c *storepb.UpdateUser) Outcome {
	old := s.User(c.GetName())
	if old == nil {
		return refused(NoUser, c.GetName(), "")
	}
	u := &User{Name: old.Name, Hash: old.Hash}
	if c.GetHash() != "" {
		u.Hash = c.GetHash()
	}
	roles := set(old.Roles)
	if granted, of := roles.add(c.GetGrant()); granted {
		return refused(RoleGranted, u.Name, of)
	}
	for _, role := range c.GetRevoke() {
		if !roles.remove(role) {
			return refused(RoleNotGranted, u.Name, role)
		}
	}
	u.Roles = roles.sorted()
	if u.Hash == old.Hash && same(u.Roles, old.Roles) {
		return refused(UserUnchanged, u.Name, "")
	}
	return s.putUser(u, false)
}

func (s *State) putUser(u *User, created bool) Outcome {
	if len(u.Roles) > maxRoles {
		return refused(TooLarge, u.Name, "")
	}
	s.size += u.size() - s.users[u.Name].size()
	s.users = with(s.users, u.Name, u)
	return Outcome{User: u, Created: created}
}

func (s *State) deleteUser(name string) Outcome {
	if name == Root && s.enabled {
		return refused(RootUserNeeded, name, "")
	}
	u := s.users[name]
	if u == nil {
		return refused(NoUser, name, "")
	}
	s.size -= u.size()
	s.users = without(s.users, name)
	return Outcome{}
}

func (s *State) createRole(c *storepb.CreateRole) Outcome {
	switch {
	case c.GetName() == Root:
		return refused(RootRole, Root, "")
	case s.roles[c.GetName()] != nil:
		return refused(RoleExists, c.GetName(), "")
	}
	return s.putRole(&Role{Name: c.GetName(), Read: values(c.GetRead()), Write: values(c.GetWrite())}, true)
}

func (s *State) updateRole(c *storepb.UpdateRole) Outcome {
	if c.GetName() == Root {
		return refused(RootRole, Root, "")
	}
	old := s.roles[c.GetName()]
	if old == nil {
		return refused(NoRole, c.GetName(), "")
	}
	read, write := set(old.Read), set(old.Write)
	if granted, of := read.add(c.GetGrantRead()); granted {
		return refused(ReadGranted, old.Name, of)
	}
	if granted, of := write.add(c.GetGrantWrite()); granted {
		return refused(WriteGranted, old.Name, of)
	}
	for _, pattern := range c.GetRevokeRead() {
		read.remove(pattern) // one that it does not have is as good as revoked
	}
	for _, pattern := range c.GetRevokeWrite() {
		write.remove(pattern)
	}
	r := &Role{Name: old.Name, Read: read.sorted(), Write: write.sorted()}
	if same(r.Read, old.Read) && same(r.Write, old.Write) {
		return refused(RoleUnchanged, r.Name, "")
	}
	return s.putRole(r, false)
}

func (s *State) putRole(r *Role, created bool) Outcome {
	if len(r.Read) > maxPatterns || len(r.Write) > maxPatterns {
		return refused(TooLarge, r.Name, "")
	}
	s.size += r.size() - s.roles[r.Name].size()
	s.roles = with(s.roles, r.Name, r)
	return Outcome{Role: r, Created: created}
}

func (s *State) deleteRole(name string) Outcome {
	if name == Root {
		return refused(RootRole, Root, "")
	}
	r := s.roles[name]
	if r == nil {
		return refused(NoRole, name, "")
	}
	s.size -= r.size()
	s.roles = without(s.roles, name)
	s.guestDeleted = s.guestDeleted || name == Guest
	return Outcome{}
}

// enable turns users and roles on. Until the role of guests is changed or deleted, they may do what
// they could before.
func (s *State) enable() Outcome {
	switch {
	case s.enabled:
		return refused(AlreadyEnabled, "", "")
	case s.users[Root] == nil:
		return refused(NoRootUser, "", "")
	}
	if s.roles[Guest] == nil && !s.guestDeleted {
		s.putRole(&Role{Name: Guest, Read: everything, Write: everything}, true)
	}
	s.enabled = true
	return Outcome{}
}

func (s *State) disable() Outcome {
	if !s.enabled {
		return refused(AlreadyDisabled, "", "")
	}
	s.enabled = false
	return Outcome{}
}

// size returns the bytes that a user counts; 0 for nil.
func (u *User) size() int {
	if u == nil {
		return 0
	}
	return perUser + len(u.Name) + len(u.Hash) + total(u.Roles)
}

// size returns the bytes that a role counts; 0 for nil.
func (r *Role) size() int {
	if r == nil {
		return 0
	}
	return perRole + len(r.Name) + total(r.Read) + total(r.Write)
}

func total(texts []string) (n int) {
	for _, text := range texts {
		n += perText + len(text)
	}
	return n
}
