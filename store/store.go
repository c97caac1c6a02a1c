package store

import (
	"errors"
	"fmt"
	"slices"

	"etcd/store/auth"
	"etcd/store/logtime"
	"etcd/store/mvcc"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// Store is the state machine. It must be used by one goroutine at a time.
type Store struct {
	index   uint64
	changed uint64       // index of the last command that has changed something
	time    logtime.Time // of the last command
	tree    *tree.Tree
	members []Member // sorted by ID; replaced, never changed
	removed []uint64 // IDs of former members, ascending; replaced, never changed

	version    uint32 // of the cluster
	maxMembers uint32 // 0: the log does not say
	auth       *auth.State
	keys       *mvcc.Keyspace

	// What is being applied, if it was decoded by hand.
	set storepb.Set
	put storepb.Put
}

// New returns a store to which nothing was applied.
func New() *Store {
	return &Store{tree: tree.New(), keys: mvcc.New()}
}

// Result is what a command did.
type Result struct {
	// Index is the index of the command.
	Index uint64
	// Changed is that of the last command that has changed a key, this one included.
	Changed uint64
	tree.Outcome
	// Auth is what a command about users and roles did; nil for all others.
	Auth *auth.Outcome
	// KV is what a command about keys of the v3 API did; nil for all others, and if it was refused because users
	// and roles are on.
	KV *mvcc.Outcome
}

// Apply carries out the command with the given index, which has to be higher
// than that of every command before it. now is the time in the log entry; if a
// command before has a later one, that counts.
//
// An error means that the command was not understood: it is malformed, or
// comes from a newer version. The store is unchanged then, and the caller has
// to stop the process, because going on would make this machine differ from
// others. A command that was understood and refused is not an error but a
// Result with a Failure.
func (s *Store) Apply(index uint64, now logtime.Time, command []byte) (Result, error) {
	return s.apply(index, now, command, true)
}

// ApplyUnasked is Apply for a command whose result nobody reads: what a transaction of v3 finds, which may be much, is
// left out of it.
func (s *Store) ApplyUnasked(index uint64, now logtime.Time, command []byte) (Result, error) {
	return s.apply(index, now, command, false)
}

func (s *Store) apply(index uint64, now logtime.Time, command []byte, asked bool) (Result, error) {
	if index <= s.index {
		return Result{}, fmt.Errorf("store: command %d is not after command %d", index, s.index)
	}
	if checked, ok := decodeSet(command, &s.set); ok {
		s.index, s.time = index, max(s.time, now)
		if failure := s.unchecked(checked); failure != nil {
			return s.result(tree.Outcome{Failure: failure}), nil
		}
		return s.result(s.tree.Set(s.index, s.time, &s.set)), nil
	}
	if decodePut(command, &s.put) {
		s.index, s.time = index, max(s.time, now)
		if failure := s.unchecked(0); failure != nil {
			return s.result(tree.Outcome{Failure: failure}), nil
		}
		out := s.keys.Put(&s.put, s.room())
		return s.ofKV(&out), nil
	}
	c, err := decode(command)
	if errors.Is(err, ErrNewer) && !errors.As(err, new(*VersionError)) {
		err = fmt.Errorf("%w; the cluster has version %d, and this program understands %s", err, s.version, Commands)
	}
	if err != nil {
		return Result{}, fmt.Errorf("store: command %d is not understood: %w", index, err)
	}
	s.index, s.time = index, max(s.time, now)
	if failure := s.unchecked(c.GetChecked()); failure != nil && ofClient(c) {
		return s.result(tree.Outcome{Failure: failure}), nil
	}
	if out := s.dispatchKV(c, asked); out != nil {
		return s.ofKV(out), nil
	}
	if change := c.GetAuth(); change != nil {
		result := s.result(tree.Outcome{})
		result.Auth = s.applyAuth(change)
		return result, nil
	}
	return s.result(s.dispatch(c)), nil
}

func (s *Store) result(of tree.Outcome) Result {
	if of.Event != nil {
		s.changed = s.index
	}
	return Result{Index: s.index, Changed: s.changed, Outcome: of}
}

func (s *Store) dispatch(c *storepb.Command) tree.Outcome {
	switch kind := c.Kind.(type) {
	case *storepb.Command_Set:
		return s.tree.Set(s.index, s.time, kind.Set)
	case *storepb.Command_Create:
		return s.tree.Create(s.index, s.time, kind.Create)
	case *storepb.Command_Delete:
		return s.tree.Delete(s.index, kind.Delete)
	case *storepb.Command_Expire:
		return s.tree.Expire(s.index, s.time, kind.Expire)
	case *storepb.Command_Bootstrap:
		b := kind.Bootstrap
		s.tree.SetHistoryLimit(int(b.GetHistoryLimit()))
		s.raise(&storepb.Raise{Version: b.GetVersion(), MaxMembers: b.GetMaxMembers(), Quota: b.GetQuota()})
		return s.setMember(b.GetMember())
	case *storepb.Command_SetMember:
		return s.setMember(kind.SetMember.GetMember())
	case *storepb.Command_RemoveMember:
		return s.removeMember(kind.RemoveMember.GetId())
	case *storepb.Command_Configure:
		s.tree.SetHistoryLimit(int(kind.Configure.GetHistoryLimit()))
		if most := kind.Configure.GetMaxMembers(); most > 0 {
			s.maxMembers = most
		}
	case *storepb.Command_Raise:
		s.raise(kind.Raise)
	case *storepb.Command_SetQuota:
		s.tree.SetQuota(kind.SetQuota.GetBytes())
	}
	return tree.Outcome{}
}

// Index returns the index of the last command applied, refused ones included.
func (s *Store) Index() uint64 { return s.index }

// Changed returns the index of the last command that has changed a key. It is that of the snapshot
// as long as nothing was changed since then.
func (s *Store) Changed() uint64 { return s.changed }

// Time returns the time of the last command applied, the latest there was.
func (s *Store) Time() logtime.Time { return s.time }

// Get returns the node at a clean path. It fails with KeyNotFound or NotDir.
func (s *Store) Get(path string) (*tree.Node, *tree.Failure) { return s.tree.Get(path) }

// Below returns the nodes below a directory, see [tree.Tree.Below].
func (s *Store) Below(path string, limit int) []*tree.Node { return s.tree.Below(path, limit) }

// Children returns the nodes directly in a directory, page by page, see [tree.Tree.Children].
func (s *Store) Children(path, after string, limit int) []*tree.Node {
	return s.tree.Children(path, after, limit)
}

// Members returns the machines of the cluster, sorted by ID.
func (s *Store) Members() []Member { return slices.Clone(s.members) }

// Removed returns the IDs of the machines that were removed from the cluster, in
// ascending order. They never come back.
func (s *Store) Removed() []uint64 { return slices.Clone(s.removed) }

// NextDeadline returns the earliest deadline, 0 if nothing expires.
func (s *Store) NextDeadline() logtime.Time { return s.tree.NextDeadline() }

// Expired returns the encoded commands that expire the nodes whose deadline is
// not after now, at most limit of them, in the order of their deadlines.
func (s *Store) Expired(now logtime.Time, limit int) [][]byte {
	var commands [][]byte
	for _, node := range s.tree.Due(now, limit) {
		commands = append(commands, Encode(&storepb.Command{Kind: &storepb.Command_Expire{Expire: &storepb.Expire{
			Path:          node.Path,
			ModifiedIndex: node.Modified,
			Deadline:      uint64(node.Deadline),
		}}}))
	}
	return commands
}

// History returns the events kept for watchers, as they are now, in constant
// time.
func (s *Store) History() tree.History { return s.tree.History() }

// FirstChange returns where a watch may begin for which the history is too short, see [tree.Tree.FirstChange].
func (s *Store) FirstChange(path string, recursive bool, since uint64) (first uint64, ok bool) {
	return s.tree.FirstChange(path, recursive, since)
}

// Totals returns sums over all keys and directories, in constant time.
func (s *Store) Totals() tree.Totals { return s.tree.Totals() }

// HistoryBytes returns how many bytes of the history count against [tree.MaxHistoryBytes].
func (s *Store) HistoryBytes() int { return s.tree.HistoryBytes() }

// Quota returns how many bytes the keys may have, see [tree.Totals.Size]; 0: there is no limit.
func (s *Store) Quota() uint64 { return s.tree.Quota() }

// HistoryLimit returns the number of events the history may hold.
func (s *Store) HistoryLimit() int { return s.tree.HistoryLimit() }
