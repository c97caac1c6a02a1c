package auth

import "fmt"

// Code is the kind of a failure.
type Code int

// The reasons to refuse a command.
const (
	UserExists Code = iota + 1
	NoUser
	// NoPassword: a user has to have one.
	NoPassword
	// UserUnchanged: there is nothing to change.
	UserUnchanged
	// RoleGranted: the user has the role already.
	RoleGranted
	// RoleNotGranted: the user has no such role to revoke.
	RoleNotGranted
	// RootUserNeeded: the user root stays as long as users and roles are on.
	RootUserNeeded
	RoleExists
	NoRole
	// RootRole: nobody can change it.
	RootRole
	RoleUnchanged
	// ReadGranted and WriteGranted: the role has the pattern already.
	ReadGranted
	WriteGranted
	AlreadyEnabled
	AlreadyDisabled
	// NoRootUser: without one nobody could turn users and roles off again.
	NoRootUser
	// TooLarge: there would be more users, roles and patterns than there may be.
	TooLarge
)

// Failure says why a command was refused. A refused command changes nothing.
type Failure struct {
	Code Code
	// Name is that of the user or the role which the command is about.
	Name string
	// Of is the role or the pattern that is granted or revoked.
	Of string
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("auth: code %d: %s %s", f.Code, f.Name, f.Of) }
