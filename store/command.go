package store

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"etcd/store/storepb"
	"etcd/store/tree"
)

var encoding = proto.MarshalOptions{Deterministic: true}

// Encode returns the bytes of a command for the log. It panics if Apply would
// refuse them: a command that no machine can apply must never reach the log,
// so input from outside has to be checked before. Required are
//   - exactly one kind,
//   - clean absolute paths in valid UTF-8,
//   - times to live that are not negative,
//   - members with an id, and a name that is empty or a single path component,
//   - users and roles with a name.
func Encode(c *storepb.Command) []byte {
	if err := check(c); err != nil {
		panic(fmt.Sprintf("store: encode command: %v", err))
	}
	data, err := encoding.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("store: encode command: %v", err))
	}
	return data
}

// CheckCommand returns why a command cannot be applied.
func CheckCommand(command []byte) error {
	_, err := decode(command)
	return err
}

func decode(data []byte) (*storepb.Command, error) {
	c := new(storepb.Command)
	if err := proto.Unmarshal(data, c); err != nil {
		return nil, err
	}
	return c, check(c)
}

// ErrNewer is why a command, or a snapshot, of a newer version is not understood.
var ErrNewer = errors.New("written by a newer version")

var (
	errNewer  = fmt.Errorf("%w: unknown fields", ErrNewer)
	errNoKind = errors.New("no command kind")
	errTTL    = errors.New("negative time to live")

	errNoQuota = errors.New("a quota of nothing")
)

// check returns an error unless every part of the command is understood.
func check(c *storepb.Command) error {
	if unknown(c) {
		return errNewer
	}
	switch kind := c.GetKind().(type) {
	case *storepb.Command_Set:
		return checkKey(kind.Set, kind.Set.GetPath(), kind.Set.GetTtlNs(), kind.Set.GetCondition())
	case *storepb.Command_Create:
		return checkKey(kind.Create, kind.Create.GetPath(), kind.Create.GetTtlNs(), nil)
	case *storepb.Command_Delete:
		return checkKey(kind.Delete, kind.Delete.GetPath(), 0, kind.Delete.GetCondition())
	case *storepb.Command_Expire:
		return checkKey(kind.Expire, kind.Expire.GetPath(), 0, nil)
	case *storepb.Command_Bootstrap:
		if err := checkVersion(kind.Bootstrap.GetVersion()); err != nil {
			return err // first, because the rest of it may be new as well
		}
		return checkMember(kind.Bootstrap, kind.Bootstrap.GetMember())
	case *storepb.Command_Raise:
		if err := checkVersion(kind.Raise.GetVersion()); err != nil {
			return err
		}
		return checkUnknown(kind.Raise)
	case *storepb.Command_SetMember:
		if u := kind.SetMember.GetUnderstands(); u != nil && unknown(u) {
			return errNewer
		}
		return checkMember(kind.SetMember, kind.SetMember.GetMember())
	case *storepb.Command_RemoveMember:
		return checkUnknown(kind.RemoveMember)
	case *storepb.Command_Configure:
		return checkUnknown(kind.Configure)
	case *storepb.Command_Auth:
		return checkAuth(kind.Auth)
	case *storepb.Command_SetQuota:
		if kind.SetQuota.GetBytes() == 0 {
			return errNoQuota
		}
		return checkUnknown(kind.SetQuota)
	}
	return checkKV(c)
}

func checkKey(m proto.Message, path string, ttl int64, condition *storepb.Condition) error {
	if unknown(m) || condition != nil && unknown(condition) {
		return errNewer
	}
	if !tree.Clean(path) {
		return fmt.Errorf("path %.100q is not clean", path)
	}
	if ttl < 0 {
		return errTTL
	}
	return nil
}

func checkMember(m proto.Message, member *storepb.Member) error {
	if unknown(m) || unknown(member) {
		return errNewer
	}
	if member.GetId() == 0 {
		return errors.New("member without an ID")
	}
	if name := member.GetName(); name != "" && (strings.Contains(name, "/") || !tree.Clean("/"+name)) {
		return fmt.Errorf("member name %.100q is not a path component", name)
	}
	return nil
}

func checkUnknown(m proto.Message) error {
	if unknown(m) {
		return errNewer
	}
	return nil
}

// unknown reports whether the message has fields that this version does not know.
func unknown(m proto.Message) bool { return len(m.ProtoReflect().GetUnknown()) > 0 }
