package sim

import (
	"math"
	"reflect"
	"slices"
	"sort"

	"etcd/actors"
	"etcd/internal/mvccmodel"
	"etcd/store"
	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// keyspaceAt is the keyspace from an index on.
type keyspaceAt struct {
	index uint64
	keys  mvccmodel.Model
}

// isOfKeyspace reports whether a command is about the keyspace.
func isOfKeyspace(c *storepb.Command) bool {
	return c.GetPut() != nil || c.GetDeleteRange() != nil || c.GetTxn() != nil || c.GetCompact() != nil
}

// applyToKeys checks what a command did to the keyspace. size and quota are from before it.
func (o *oracle) applyToKeys(c *storepb.Command, size, quota uint64, result store.Result) {
	if !isOfKeyspace(c) || result.Failure != nil { // see checkUsers
		return
	}
	room := uint64(math.MaxUint64)
	if quota > 0 {
		room = quota - min(quota, size)
	}
	want, _ := o.keys.Apply(c, room)
	if result.KV == nil {
		o.sim.fail("entry %d has done nothing, want %v", result.Index, want)
		return
	}
	if got := mvccmodel.Of(*result.KV); got.String() != want.String() {
		o.sim.fail("entry %d, %v, has done\n%v, want\n%v", result.Index, c, got, want)
	}
	o.keyspaces = append(o.keyspaces, keyspaceAt{result.Index, *o.keys})
	switch {
	case want.Err != "":
		o.sim.count("command of the keyspace refused: " + want.Err)
		if txn := c.GetTxn(); txn != nil && want.Err != mvccmodel.NoSpace && len(txn.GetSuccess())+len(txn.GetFailure()) > 1 {
			o.sim.count("transaction refused as a whole")
		}
	case c.GetCompact() != nil:
		o.sim.count("keyspace compacted")
	case want.Txn != nil && want.Puts+want.Deletions > 1:
		o.sim.count("transaction with several changes")
	}
}

// sameResult reports whether the machine has done what it should. The last change that it knows of may be the
// snapshot which it has started from or installed.
func (l *life) sameResult(got, want store.Result) bool {
	if (got.KV == nil) != (want.KV == nil) || got.KV != nil && mvccmodel.Of(*got.KV).String() != mvccmodel.Of(*want.KV).String() {
		return false
	}
	if want.Changed < got.Changed && got.Changed <= l.snapshotIndex {
		want.Changed = got.Changed
	}
	got.KV, want.KV = nil, nil
	return reflect.DeepEqual(got, want)
}

// keyspaceAt returns the position in keyspaces of what was after an entry.
func (o *oracle) keyspaceAt(index uint64) int {
	return sort.Search(len(o.keyspaces), func(i int) bool { return o.keyspaces[i].index > index }) - 1
}

// queried checks the answer to a query: it is that of a keyspace that is not older than the machine had to know.
func (o *oracle) queried(r *request, q *actors.Query, out mvcc.Outcome) {
	floor := r.floor
	if r.local {
		floor = r.life.known
	}
	got := mvccmodel.Of(out)
	var want mvccmodel.Outcome
	for _, at := range o.keyspaces[o.keyspaceAt(floor):] {
		if want = ask(&at.keys, q); want.Revision > got.Revision {
			break
		}
		if want.String() != got.String() { // another revision, or not compacted yet
			continue
		}
		if !r.local {
			o.told = max(o.told, at.index)
		}
		return
	}
	o.sim.fail("%s answers %v %v with\n%v although entry %d has been applied; a keyspace after it answers\n%v", r.life, q.Range, q.Txn, got, floor, want)
}

// ask returns the answer to a query.
func ask(m *mvccmodel.Model, q *actors.Query) mvccmodel.Outcome {
	if q.Txn != nil {
		return m.ReadTxn(q.Txn)
	}
	return m.Range(q.Range)
}

// compareKeys checks that a machine has the keyspace of its index.
func (o *oracle) compareKeys(l *life, state *store.View) {
	keys, want := state.Keys(), &o.keyspaces[o.keyspaceAt(state.Index())].keys
	var versions []mvccmodel.Version
	for v := range keys.Versions() {
		versions = append(versions, mvccmodel.OfVersion(v))
	}
	if keys.Revision() != want.Revision || keys.Compacted() != want.Compacted || keys.Size() != want.Size() || !slices.Equal(versions, want.Versions()) {
		o.sim.fail("%s has at index %d the keyspace of revision %d, compacted at %d, with %d bytes:\n%v\nwant revision %d, %d, %d bytes:\n%v", l, state.Index(),
			keys.Revision(), keys.Compacted(), keys.Size(), versions, want.Revision, want.Compacted, want.Size(), want.Versions())
	}
}
