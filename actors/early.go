package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
)

// maxEarly bounds the questions that wait for the store to know what it knew before the
// start. There is more room than a start needs, but a machine that waits for its
// cluster's state may be asked for days.
const maxEarly = 4096

// early holds the questions about local state that come before the store has applied
// what the disk says is committed: an answer from less would be older than what this
// machine has known already. A machine whose disk says nothing (it founds a cluster, or has
// just joined one) waits for its first linearizable moment.
type early struct {
	base      uint64 // index of the snapshot on disk
	committed uint64 // commit index on disk; 0: none
	over      bool
	waiting   []Request // oldest first
}

// early is what a machine that starts from this disk has to wait for.
func (d *Disk) early() early {
	if d.Found == nil {
		return early{}
	}
	return early{base: d.Found.Snapshot.GetIndex(), committed: d.Found.HardState.GetCommit()}
}

// enough says whether state that has all entries up to index is what was known.
func (e *early) enough(index uint64) bool { return e.committed > 0 && index >= e.committed }

// hold keeps a question if it comes too early. Over the bound the oldest is answered
// that nobody could serve it: whoever asked it has given up, or soon will.
func (e *early) hold(ctx actor.Context, question Request) bool {
	if e.over {
		return false
	}
	if len(e.waiting) == maxEarly {
		replyFailed(ctx, e.waiting[0], raftnode.ErrNoLeader)
		e.waiting = e.waiting[1:]
	}
	e.waiting = append(e.waiting, question)
	return true
}

// end returns what has waited. Nothing is held afterwards.
func (e *early) end() []Request {
	waiting := e.waiting
	e.over, e.waiting = true, nil
	return waiting
}
