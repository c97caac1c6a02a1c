package actors

import (
	"etcd/store"
	"etcd/store/mvcc"
	"etcd/store/tree"
)

// Appends counts the messages with which a leader replicates its log.
type Appends struct{ Sent, Received uint64 }

// Counts counts the operations of the store of this machine since it started, commands
// replayed from the log at the start included. A refused command counts as a failure of the
// action that it would have been.
type Counts struct {
	GetsSuccess, GetsFail                         uint64
	SetsSuccess, SetsFail                         uint64
	DeleteSuccess, DeleteFail                     uint64
	UpdateSuccess, UpdateFail                     uint64
	CreateSuccess, CreateFail                     uint64
	CompareAndSwapSuccess, CompareAndSwapFail     uint64
	CompareAndDeleteSuccess, CompareAndDeleteFail uint64
	Expired                                       uint64
}

func (c *Counts) count(r store.Result) {
	if r.Action == 0 {
		return
	}
	success, fail := c.of(r.Action)
	if r.Failure != nil {
		*fail++
	} else if r.Event != nil {
		*success++
	}
}

// of returns the two counters of an action.
func (c *Counts) of(action tree.Action) (success, fail *uint64) {
	switch action {
	case tree.ActionSet:
		return &c.SetsSuccess, &c.SetsFail
	case tree.ActionCreate:
		return &c.CreateSuccess, &c.CreateFail
	case tree.ActionUpdate:
		return &c.UpdateSuccess, &c.UpdateFail
	case tree.ActionCompareAndSwap:
		return &c.CompareAndSwapSuccess, &c.CompareAndSwapFail
	case tree.ActionDelete:
		return &c.DeleteSuccess, &c.DeleteFail
	case tree.ActionCompareAndDelete:
		return &c.CompareAndDeleteSuccess, &c.CompareAndDeleteFail
	}
	return &c.Expired, new(uint64)
}

// kvCounts is Counts for the keyspace of the v3 API.
type kvCounts struct{ puts, deletions, txns uint64 }

func (c *kvCounts) count(kv *mvcc.Outcome) {
	c.puts += uint64(kv.Puts)
	c.deletions += uint64(kv.Deletions)
	if kv.Txn != nil {
		c.txns++
	}
}
