package actors

import (
	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// MaxWeight is how many keys a query may look at that the store actor answers itself. What looks at more would
// delay all writes.
const MaxWeight = 256

// keyspace is that of a store, or a view of it.
type keyspace interface {
	Revision() int64
	Range(q *storepb.Range) (mvcc.Found, error)
	ReadTxn(m *storepb.Txn) mvcc.Outcome
	Weight(q *storepb.Range) int
	TxnWeight(m *storepb.Txn) int
}

// weight returns how many keys a query has to look at.
func weight(keys keyspace, m *Query) int {
	if m.Txn != nil {
		return keys.TxnWeight(m.Txn)
	}
	return keys.Weight(m.Range)
}

// run returns what a query finds.
func run(keys keyspace, m *Query) mvcc.Outcome {
	if m.Txn != nil {
		return keys.ReadTxn(m.Txn)
	}
	found, err := keys.Range(m.Range)
	return mvcc.Outcome{Revision: keys.Revision(), Err: err, Step: mvcc.Step{Found: found}}
}

// Run returns what the query finds in a view.
func (m *Query) Run(view *mvcc.View) mvcc.Outcome { return run(view, m) }

// QueryLocal answers a query from local state, in the goroutine of the caller. It fails while that is
// not shared: then ask the store actor.
func (m *Machine) QueryLocal(q *Query) (reply *Queried, ok bool) {
	view := m.local.view.Load()
	if view == nil {
		return nil, false
	}
	m.local.queries.Add(1)
	if weight(view.Keys(), q) > m.local.maxWeight {
		return &Queried{View: view.Keys()}, true
	}
	return &Queried{Outcome: q.Run(view.Keys())}, true
}
