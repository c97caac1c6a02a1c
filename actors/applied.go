package actors

import (
	"cmp"
	"sync/atomic"

	"etcd/store"
	"etcd/store/auth"
	"etcd/store/logtime"
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
}

func appliedOf(s *store.Store, last, term uint64) *Applied {
	return &Applied{
		Changed: s.Changed(), Last: last, Term: term, Time: s.Time(), Version: s.Version(),
		Quota: s.Quota(), Size: uint64(s.Totals().Size()),
	}
}

// appliedState shares how far the store actor has come with all goroutines. It says so after the hub
// has got the events, and before any caller is answered.
type appliedState struct {
	now  atomic.Pointer[Applied]
	auth atomic.Pointer[auth.State] // even before the hub has got the events
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
