package raftnode

import (
	"slices"
)

// Limits that tests reach.
const (
	MaxApplyingBytes    = maxApplyingBytes
	MaxUncommittedBytes = maxUncommittedBytes
	MaxWaiting          = maxWaiting
	MaxWaitingBytes     = maxWaitingBytes
	ForwardWindow       = forwardWindow
)

// Reasons for rejecting forwards as encoded, and their number.
const (
	RejectNotLeader       = byte(rejectNotLeader)
	RejectNotLeaderOfTerm = byte(rejectNotLeaderOfTerm)
	RejectNameTaken       = byte(rejectNameTaken)
)

var RejectReasons = byte(len(rejectErrors))

// First is the index of the oldest entry that can be sent, FirstInMemory that of the oldest
// that need not be read back from disk.
func (n *Node) First() uint64         { return n.storage.first }
func (n *Node) FirstInMemory() uint64 { return n.storage.tailFirst() }

// Campaign starts an election without waiting for a timeout, ForgetLeader has a
// follower vote for others at once.
func (n *Node) Campaign() error     { return n.raw.Campaign() }
func (n *Node) ForgetLeader() error { return n.raw.ForgetLeader() }

// CatchingUp returns for how many members a sent snapshot is recorded.
func (n *Node) CatchingUp() int { return len(n.snapshots.catchingUp) }

// Members returns Raft's voters and learners in ascending order.
func (n *Node) Members() []uint64 {
	return slices.Sorted(slices.Values(n.members.all()))
}

// Held returns how many proposals count towards the limits, and their bytes; HeldReads how
// many reads.
func (n *Node) Held() (count, bytes int) { return n.proposals.count, n.proposals.bytes }
func (n *Node) HeldReads() int           { return n.reads.count }

// Origin is what a leader remembers of the forwards of one process.
type Origin struct{ o *origin }

// NewOrigin returns the Origin of a process whose first forward has arrived.
func NewOrigin(low uint64) Origin {
	return Origin{(&origins{}).of(&proposal{origin: 1, process: 1, term: 1, low: low})}
}

func (o Origin) Accept(id uint64) bool       { return o.o.accept(id) }
func (o Origin) Advance(low uint64)          { o.o.advance(low) }
func (o Origin) Refuse(id uint64, err error) { o.o.refuse(id, err) }
func (o Origin) Refused(id uint64) error     { return o.o.refused[id] }

// Size returns how many words of the bitmap and refusals are remembered.
func (o Origin) Size() (words, refused int) { return len(o.o.decided.words), len(o.o.refused) }

// SinceSnapshot is how many bytes of the log are in no durable snapshot.
func (n *Node) SinceSnapshot() uint64 { return n.storage.sinceSnapshot() }

// MaxTermJump is how many terms a machine may have missed while it was down.
const MaxTermJump = maxTermJump
