package store

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"etcd/store/auth"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// Checked returns a command of a client with the revision of the users and roles with which it was
// checked that the client may ask for it. As long as they are on, a command that was checked with
// another revision is refused with [tree.Unauthorized]: so the machine that has checked it may lag.
func Checked(command []byte, revision uint64) []byte {
	command = protowire.AppendTag(command[:len(command):len(command)], fieldChecked, protowire.VarintType)
	return protowire.AppendVarint(command, revision)
}

// unchecked returns why a command of a client is refused; nil: it is not.
func (s *Store) unchecked(revision uint64) *tree.Failure {
	if !s.auth.Enabled() || revision == s.auth.Revision() {
		return nil
	}
	return &tree.Failure{Code: tree.Unauthorized}
}

// ofClient reports whether it is clients who ask for a command, and not the machines themselves.
func ofClient(c *storepb.Command) bool {
	switch c.Kind.(type) {
	case *storepb.Command_Set, *storepb.Command_Create, *storepb.Command_Delete, *storepb.Command_Auth,
		*storepb.Command_Put, *storepb.Command_DeleteRange, *storepb.Command_Txn, *storepb.Command_Compact:
		return true
	}
	return false
}

// Need is what somebody has to be allowed to for a command.
type Need struct {
	// Key is to be written, Deep with everything below it; "" if the command is about no key.
	Key  string
	Deep bool
	// Own is the user whose password is changed, and nothing else; "" if it does anything else.
	Own string
}

// Needs returns what a command of a client needs. A command about no key, and no user alone, needs
// the role root.
func Needs(command []byte) (Need, error) {
	var set storepb.Set
	if _, ok := decodeSet(command, &set); ok {
		return Need{Key: set.Path}, nil
	}
	c, err := decode(command)
	if err != nil {
		return Need{}, err
	}
	switch kind := c.Kind.(type) {
	case *storepb.Command_Set:
		return Need{Key: kind.Set.GetPath()}, nil
	case *storepb.Command_Create:
		return Need{Key: kind.Create.GetPath()}, nil
	case *storepb.Command_Delete:
		return Need{Key: kind.Delete.GetPath(), Deep: kind.Delete.GetRecursive()}, nil
	case *storepb.Command_Auth:
		u := kind.Auth.GetUpdateUser()
		if u.GetHash() != "" && len(u.GetGrant())+len(u.GetRevoke()) == 0 {
			return Need{Own: u.GetName()}, nil
		}
	}
	return Need{}, nil
}

// applyAuth changes the users and roles.
func (s *Store) applyAuth(c *storepb.Auth) *auth.Outcome {
	next, out := s.auth.Apply(s.index, c)
	s.auth = next
	return &out
}

// Auth returns the users and roles. They never change.
func (s *Store) Auth() *auth.State { return s.auth }

// MaxAuthCommand bounds a command about users and roles, in bytes.
const MaxAuthCommand = 1 << 20

func checkAuthSize(command []byte) error {
	if len(command) > MaxAuthCommand {
		return fmt.Errorf("command of %d bytes about users and roles exceeds the maximum of %d", len(command), MaxAuthCommand)
	}
	return nil
}

var errNoName = errors.New("a user or a role without a name")

func checkAuth(m *storepb.Auth) error {
	if anyUnknown(m.ProtoReflect()) {
		return errNewer
	}
	name := ""
	switch change := m.GetChange().(type) {
	case *storepb.Auth_CreateUser:
		name = change.CreateUser.GetName()
	case *storepb.Auth_UpdateUser:
		name = change.UpdateUser.GetName()
	case *storepb.Auth_DeleteUser:
		name = change.DeleteUser.GetName()
	case *storepb.Auth_CreateRole:
		name = change.CreateRole.GetName()
	case *storepb.Auth_UpdateRole:
		name = change.UpdateRole.GetName()
	case *storepb.Auth_DeleteRole:
		name = change.DeleteRole.GetName()
	case *storepb.Auth_Enable, *storepb.Auth_Disable:
		return nil
	default:
		return errNoKind
	}
	if name == "" {
		return errNoName
	}
	return nil
}

// anyUnknown is unknown for a message and all that are in it.
func anyUnknown(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				found = found || anyUnknown(v.List().Get(i).Message())
			}
		default:
			found = found || anyUnknown(v.Message())
		}
		return !found
	})
	return found
}

// restoreAuth reads the section of the users and roles.
func (s *Store) restoreAuth(in *messageReader, count uint64) error {
	m := new(storepb.Users)
	if err := in.readSingle(m, count); err != nil {
		return err
	}
	if anyUnknown(m.ProtoReflect()) {
		return errNewer
	}
	if m.GetRevision() > s.index {
		return errors.New("the revision is after the last command")
	}
	var err error
	s.auth, err = auth.FromMessage(m)
	return err
}
