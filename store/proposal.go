package store

import (
	"errors"
	"fmt"
	"strings"

	"etcd/store/storepb"
	"etcd/store/tree"
)

// Bounds of a command that is proposed: no request of a client exceeds them. Apply does not
// check them, because a command in the log keeps its meaning when bounds change.
const (
	// MaxCommand bounds a command, in bytes: the largest request body that may be
	// configured, and room for the request line.
	MaxCommand = MaxValue + 1<<20
	// MaxValue bounds what one request carries, in bytes.
	MaxValue = 32 << 20
	// MaxPath bounds a path, in bytes. No request line has room for more.
	MaxPath = 16 << 10
	// MaxDepth bounds the components of a path. Each of them is a node, so what a key costs grows with
	// them. People and programs use less than ten.
	MaxDepth = 128
	// MaxHistory bounds how many events may be kept for watchers.
	MaxHistory = 1 << 24
	// FirstHistory is how many events a cluster keeps whose founders have not agreed on a number,
	// until its first leader says one.
	FirstHistory = 100_000
	// MinQuota and MaxQuota bound the quota that may be asked for, in bytes, and DefaultQuota is what a
	// cluster gets if nobody says anything else.
	MinQuota     = 1 << 20
	DefaultQuota = 2 << 30
	MaxQuota     = 1 << 50
	// MaxMembers bounds how many machines a cluster may be configured to have.
	MaxMembers = 99
	// maxMemberText bounds the name of a member and its addresses, in bytes each.
	maxMemberText = 4 << 10

	childName = len("/") + 20 // what Create adds to a path
)

var errReserved = errors.New("the path is reserved for etcd itself")

// Reserved reports whether a clean path belongs to etcd itself, so that no command of a client
// may write there: that of the files of the members, below it, and the directory that it is in.
func Reserved(path string) bool {
	return path == tree.Parent(MembersDir) || path == MembersDir || strings.HasPrefix(path, MembersDir+"/")
}

// CheckProposal returns why a command that another machine has forwarded must not be proposed:
// it is not understood, no client could have asked for it, or it is about members, for which
// there is [DecodeMember].
func CheckProposal(command []byte) error {
	if err := checkSize(command); err != nil {
		return err
	}
	c, err := decode(command)
	if err != nil {
		return fmt.Errorf("store: invalid command: %w", err)
	}
	switch kind := c.GetKind().(type) {
	case *storepb.Command_Set:
		err = errors.Join(checkWritable(kind.Set.GetPath(), MaxPath), CheckDepth(kind.Set.GetPath(), 0))
	case *storepb.Command_Create:
		err = errors.Join(checkWritable(kind.Create.GetPath(), MaxPath-childName), CheckDepth(kind.Create.GetPath(), 1))
	case *storepb.Command_Delete:
		err = checkWritable(kind.Delete.GetPath(), MaxPath)
	case *storepb.Command_Expire:
		err = checkLength("path", kind.Expire.GetPath(), MaxPath)
	case *storepb.Command_Configure:
		if limit := kind.Configure.GetHistoryLimit(); limit > MaxHistory {
			err = fmt.Errorf("history limit %d exceeds the maximum of %d", limit, MaxHistory)
		}
		if most := kind.Configure.GetMaxMembers(); most > MaxMembers {
			err = fmt.Errorf("member limit %d exceeds the maximum of %d", most, MaxMembers)
		}
	case *storepb.Command_SetQuota:
		if quota := kind.SetQuota.GetBytes(); quota > MaxQuota {
			err = fmt.Errorf("quota of %d bytes exceeds the maximum of %d", quota, uint64(MaxQuota))
		}
	case *storepb.Command_Auth:
		err = checkAuthSize(command)
	case *storepb.Command_Put, *storepb.Command_DeleteRange, *storepb.Command_Txn, *storepb.Command_Compact:
	default:
		err = errors.New("not a command for keys")
	}
	if err != nil {
		return fmt.Errorf("store: command must not be proposed: %w", err)
	}
	return nil
}

func checkSize(command []byte) error {
	if len(command) > MaxCommand {
		return fmt.Errorf("store: command of %d bytes exceeds the maximum of %d", len(command), MaxCommand)
	}
	return nil
}

func checkWritable(path string, most int) error {
	if Reserved(path) {
		return errReserved
	}
	return checkLength("path", path, most)
}

// CheckDepth returns why a client may not write or watch a key so many components below a path. Nothing
// keeps it from reading and deleting one that is there from before there was a limit.
func CheckDepth(path string, below int) error {
	if depth := strings.Count(path, "/") + below; depth > MaxDepth {
		return fmt.Errorf("a key of %d components exceeds the maximum of %d", depth, MaxDepth)
	}
	return nil
}

func checkLength(what, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%s of %d bytes exceeds the maximum of %d", what, len(text), most)
	}
	return nil
}

// checkLengths bounds what a member says of itself.
func (m Member) checkLengths() error {
	return errors.Join(
		checkLength("name", m.Name, maxMemberText),
		checkLength("peer URL", m.PeerURL, maxMemberText),
		checkLength("client URL", m.ClientURL, maxMemberText),
	)
}
