package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
)

// maxStartupRequests bounds the requests that wait for the store to catch up with what this machine
// knew before its start. That is more than a start needs, but a machine may wait for its
// cluster's state for days, and get requests all the while.
const maxStartupRequests = 4096

// startupQueue holds the requests for local state that come before the store has applied what the
// disk says is committed: an answer from less would be older than what this machine has known
// already. A machine whose disk says nothing (it founds a cluster, or has just joined one)
// waits for its first linearizable read.
type startupQueue struct {
	base      uint64 // index of the snapshot on disk
	committed uint64 // commit index on disk; 0: none
	done      bool
	waiting   []Request // oldest first
}

// startupQueue returns what a machine that starts from this disk has to wait for.
func (d *Disk) startupQueue() startupQueue {
	if d.Found == nil {
		return startupQueue{}
	}
	return startupQueue{base: d.Found.Snapshot.GetIndex(), committed: d.Found.HardState.GetCommit()}
}

// caughtUp reports whether state with all entries up to index has what was known.
func (e *startupQueue) caughtUp(index uint64) bool { return e.committed > 0 && index >= e.committed }

// enqueue queues a request that comes too early, and reports whether it did. Beyond the bound the
// oldest fails with ErrNoLeader: its caller has given up, or soon will.
func (e *startupQueue) enqueue(ctx actor.Context, request Request) bool {
	if e.done {
		return false
	}
	if len(e.waiting) == maxStartupRequests {
		replyFailed(ctx, e.waiting[0], raftnode.ErrNoLeader)
		e.waiting = e.waiting[1:]
	}
	e.waiting = append(e.waiting, request)
	return true
}

// drain returns the queued requests. Nothing is held afterwards.
func (e *startupQueue) drain() []Request {
	waiting := e.waiting
	e.done, e.waiting = true, nil
	return waiting
}
