package actors

import (
	"cmp"
	"sync/atomic"

	"etcd/store"
	"etcd/store/auth"
	"etcd/store/logtime"
	"etcd/store/tree"
)

// Applied is how far a machine had come at some moment. It never changes.
type Applied struct {
	// Changed is the index of the last command that has changed a key.
	Changed uint64
	// Last is the index of the last entry that was applied, and Term its term.
	Last, Term uint64
	// Time is that of the last command.
	Time logtime.Time
	// Version is that of the cluster.
	Version uint32
	// Quota is how many bytes the keys may have, 0 if there is no limit, and Size how many they have.
	Quota, Size uint64
	// Revision is that of the keyspace of the v3 API.
	Revision int64
}

func appliedOf(s *store.Store, last, term uint64) *Applied {
	return &Applied{
		Changed: s.Changed(), Last: last, Term: term, Time: s.Time(), Version: s.Version(),
		Quota: s.Quota(), Size: s.Size(), Revision: s.Keys().Revision(),
	}
}

// appliedState shares how far the store actor has come with all goroutines. It says so after the hub
// has got the events, and before any caller is answered.
type appliedState struct {
	now  atomic.Pointer[Applied]
	auth atomic.Pointer[auth.State] // even before the hub has got the events
	// raised is closed when the version of the cluster is raised, and then there is another.
	raised atomic.Pointer[chan struct{}]
	// replaced is the memory of what was overwritten or removed, in bytes.
	replaced atomic.Int64
}

// publish says how far the store actor has come.
func (a *appliedState) publish(now *Applied) {
	before := a.now.Swap(now)
	if before == nil || before.Version != now.Version {
		raised := make(chan struct{})
		if waiting := a.raised.Swap(&raised); waiting != nil {
			close(*waiting)
		}
	}
}

// Raised returns a channel that is closed when the version of the cluster is raised after this call. It may be
// called from any goroutine.
func (m *Machine) Raised() <-chan struct{} { return *m.applied.raised.Load() }

// Replaced returns how many bytes of the state this machine has overwritten or removed since its start. A
// view keeps what was replaced since it was taken. It may be called from any goroutine.
func (m *Machine) Replaced() int64 { return m.applied.replaced.Load() }

// pathCost is what a change replaces in memory besides the value: a node, and the pages on the way to it.
const pathCost = 2 << 10

// replacedBy returns how many bytes an event has replaced.
func replacedBy(e *tree.Event) int64 {
	n := int64(pathCost)
	if e.Prev != nil {
		n += int64(len(e.Prev.Value))
	}
	return n
}

// Applied returns how far this machine has come. It may be called from any goroutine.
func (m *Machine) Applied() Applied { return *m.applied.now.Load() }

// Auth returns the users and roles, as far as this machine has applied the log: at least up to what
// any answer or event of this machine is about. It may be called from any goroutine.
func (m *Machine) Auth() *auth.State { return m.applied.auth.Load() }

// startsFrom returns what a machine that starts from this disk has applied.
func (d *Disk) startsFrom() *Applied {
	a := appliedOf(d.store, d.snapshotIndex(), 0)
	if d.Found != nil {
		a.Term = cmp.Or(d.Found.Snapshot.GetTerm(), d.Found.HardState.GetTerm())
	}
	return a
}
