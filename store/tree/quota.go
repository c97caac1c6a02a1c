package tree

import (
	"etcd/store/logtime"
	"etcd/store/storepb"
)

// The quota bounds what the tree may have, see [Totals.Size]. It is part of the state, so every machine
// refuses the same commands: those after which the tree would have more than before and more than the
// quota. All others go on, and so does everything as soon as there is room.

// Quota returns how many bytes the tree may have; 0: there is no limit.
func (t *Tree) Quota() uint64 { return t.quota }

// SetQuota sets how many bytes the tree may have. It removes nothing.
func (t *Tree) SetQuota(bytes uint64) { t.quota = bytes }

// Reserve sets how many bytes of the quota something else has.
func (t *Tree) Reserve(bytes uint64) { t.reserved = bytes }

// SetRegardless is Set for what the cluster itself writes, whatever the quota.
func (t *Tree) SetRegardless(index uint64, now logtime.Time, m *storepb.Set) Outcome {
	quota := t.quota
	t.quota = 0
	outcome := t.Set(index, now, m)
	t.quota = quota
	return outcome
}

// checkRoom returns why the tree must not have so many bytes more for a node at path; nil: it may.
func (t *Tree) checkRoom(path string, more int64) *Failure {
	if t.quota == 0 || more <= 0 {
		return nil
	}
	size := uint64(t.nodes.totals().Size()) + t.reserved
	if size+uint64(more) <= t.quota {
		return nil
	}
	return &Failure{Code: NoSpace, Path: path, Size: size, Quota: t.quota}
}

// sizeOf returns what a node with this path and value counts.
func sizeOf(path, value string) int64 { return NodeSize + int64(len(path)+len(value)) }
