package store

import (
	"fmt"
	"slices"
	"time"

	"etcd/store/storepb"
)

// Store is the state machine. It must be used by one goroutine at a time.
type Store struct {
	index   uint64
	time    Time // of the last command
	tree    tree
	history recorder
	members []Member // sorted by ID; replaced, never changed
	removed []uint64 // IDs of former members, ascending; replaced, never changed
}

// New returns a store to which nothing was applied.
func New() *Store {
	return &Store{tree: newTree(), history: recorder{limit: DefaultHistoryLimit}}
}

// Apply carries out the command with the given index, which has to be higher
// than that of every command before it. now is the time in the log entry; one that
// is earlier than that of a command before counts as that.
//
// An error means that the command was not understood: it is malformed, or
// comes from a newer version. The store is unchanged then, and the caller has
// to stop the process, because going on would make this machine differ from
// others. A command that was understood and refused is not an error but a
// Result with a Failure.
func (s *Store) Apply(index uint64, now Time, command []byte) (Result, error) {
	if index <= s.index {
		return Result{}, fmt.Errorf("store: command %d comes after command %d", index, s.index)
	}
	c, err := decode(command)
	if err != nil {
		return Result{}, fmt.Errorf("store: command %d is not understood: %w", index, err)
	}
	s.index, s.time = index, max(s.time, now)
	result := s.carryOut(c, s.time)
	result.Action = intent(c)
	return result, nil
}

func (s *Store) carryOut(c *storepb.Command, now Time) Result {
	switch kind := c.Kind.(type) {
	case *storepb.Command_Set:
		return s.set(kind.Set, now)
	case *storepb.Command_Create:
		return s.createChild(kind.Create, now)
	case *storepb.Command_Delete:
		return s.delete(kind.Delete)
	case *storepb.Command_Expire:
		return s.expire(kind.Expire, now)
	case *storepb.Command_Bootstrap:
		s.history.setLimit(int(kind.Bootstrap.GetHistoryLimit()))
		return s.setMember(kind.Bootstrap.GetMember())
	case *storepb.Command_SetMember:
		return s.setMember(kind.SetMember.GetMember())
	case *storepb.Command_RemoveMember:
		return s.removeMember(kind.RemoveMember.GetId())
	case *storepb.Command_Configure:
		s.history.setLimit(int(kind.Configure.GetHistoryLimit()))
	}
	return s.nothing()
}

// intent is what a command is to do to a key, whether or not it is refused; 0 if
// it is not about a key.
func intent(c *storepb.Command) Action {
	switch kind := c.Kind.(type) {
	case *storepb.Command_Set:
		condition := kind.Set.GetCondition()
		switch {
		case toBeMissing(condition):
			return ActionCreate
		case compares(condition):
			return ActionCompareAndSwap
		case condition.GetExist():
			return ActionUpdate
		}
	case *storepb.Command_Create:
		return ActionCreate
	case *storepb.Command_Delete:
		if c := kind.Delete.GetCondition(); compares(c) && !toBeMissing(c) {
			return ActionCompareAndDelete
		}
		return ActionDelete
	case *storepb.Command_Expire:
		return ActionExpire
	default:
		return 0
	}
	return ActionSet
}

// Index returns the index of the last command applied, refused ones included.
func (s *Store) Index() uint64 { return s.index }

// Time returns the time of the last command applied, the latest there was.
func (s *Store) Time() Time { return s.time }

// Get returns the node at a clean path. It fails with KeyNotFound or NotDir.
func (s *Store) Get(path string) (*Node, *Failure) {
	if node := s.tree.find(path); node != nil {
		return node, nil
	}
	return nil, s.tree.missing(path)
}

// Children returns the nodes directly in the directory at a clean path, hidden
// ones included, sorted by name. There are none in a file or where nothing is.
func (s *Store) Children(path string) []*Node { return s.tree.children(path) }

// Members returns the machines of the cluster, sorted by ID.
func (s *Store) Members() []Member { return slices.Clone(s.members) }

// Removed returns the IDs of the machines that were removed from the cluster, in
// ascending order. They never come back.
func (s *Store) Removed() []uint64 { return slices.Clone(s.removed) }

// NextDeadline returns the earliest deadline, 0 if nothing expires.
func (s *Store) NextDeadline() Time {
	node, ok := s.tree.expiry.Min()
	if !ok {
		return 0
	}
	return node.Deadline
}

// Expired returns the encoded commands that expire the nodes whose deadline is
// not after now, at most limit of them, in the order of their deadlines.
func (s *Store) Expired(now Time, limit int) [][]byte {
	var commands [][]byte
	s.tree.expiry.Scan(func(node *Node) bool {
		if node.Deadline > now || len(commands) >= limit {
			return false
		}
		commands = append(commands, Encode(&storepb.Command{Kind: &storepb.Command_Expire{Expire: &storepb.Expire{
			Path:          node.Path,
			ModifiedIndex: node.Modified,
			Deadline:      uint64(node.Deadline),
		}}}))
		return true
	})
	return commands
}

// History returns the events kept for watchers, as they are now, in constant
// time.
func (s *Store) History() History { return s.history.History }

// HistoryLimit returns the number of events the history may hold.
func (s *Store) HistoryLimit() int { return s.history.limit }

// deadline returns when a node with the given time to live expires. No time
// to live means never, which a moment must not be mistaken for.
func deadline(now Time, ttl *int64) Time {
	if ttl == nil {
		return 0
	}
	return max(1, now.Add(time.Duration(*ttl)))
}

// nothing is the result of a command without effect.
func (s *Store) nothing() Result { return Result{Index: s.index} }

func (s *Store) refuse(f *Failure) Result { return Result{Index: s.index, Failure: f} }

// publish records an event and returns the result with it.
func (s *Store) publish(action Action, node, prev *Node) Result {
	event := s.history.record(Event{Index: s.index, Action: action, Node: node, Prev: prev})
	return Result{Index: s.index, Event: event, Published: true}
}

// report is publish, unless the command was a refresh: the result of that is
// for the one who asked only.
func (s *Store) report(refresh bool, action Action, node, prev *Node) Result {
	if !refresh {
		return s.publish(action, node, prev)
	}
	event := &Event{Index: s.index, Action: action, Node: node, Prev: prev}
	return Result{Index: s.index, Event: event}
}
