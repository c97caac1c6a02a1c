package raftnode

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// appends are the writes to the log that are in flight to the disk.
type appends struct {
	last        uint64          // index of the last entry of the log, as of what was handed out to be made durable
	untruncated uint64          // up to here Raft has the log, even if an append taken since has truncated it
	pending     []pendingAppend // appends that something waits for and that are not durable yet, oldest first
}

// Appended reports that a is durable.
func (n *Node) Appended(a *Append) error {
	n.removePending(a)
	if a.HardState != nil {
		n.committed.durable = a.HardState.GetCommit()
	}
	if a.Snapshot != nil {
		if err := n.storage.ApplySnapshot(a.Snapshot, n.offeredSize(a.Snapshot)); err != nil {
			return fmt.Errorf("raftnode: install snapshot at index %d: %w", a.Snapshot.GetIndex(), err)
		}
		n.install(a.Snapshot)
	}
	if err := n.storage.Append(a.Entries); err != nil {
		return fmt.Errorf("raftnode: append to the log: %w", err)
	}
	for _, m := range a.responses {
		if m.GetTo() != n.cfg.MemberID {
			n.work.Messages = append(n.work.Messages, m)
			continue
		}
		// A machine that was removed meanwhile is a stranger to itself.
		if err := n.raw.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) {
			return fmt.Errorf("raftnode: step %s: %w", m.GetType(), err)
		}
	}
	return nil
}

func newAppend(m *raftpb.Message) *Append {
	a := &Append{Entries: m.GetEntries(), responses: m.GetResponses(), Urgent: len(m.GetResponses()) > 0}
	if m.Term != nil {
		a.HardState = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
	if m.Snapshot != nil {
		a.Snapshot = m.Snapshot.GetMetadata()
	}
	return a
}

// noteLast keeps track of how far the log reaches.
func (n *Node) noteLast(a *Append) {
	if a.Snapshot != nil {
		n.appends.last = a.Snapshot.GetIndex()
	}
	if len(a.Entries) > 0 {
		n.appends.last = a.Entries[len(a.Entries)-1].GetIndex()
	}
}

// pendingAppend is an append that something waits for and that is not durable yet.
type pendingAppend struct {
	append *Append
	since  int
}

func (n *Node) addPending(a *Append) {
	if a.Urgent {
		n.appends.pending = append(n.appends.pending, pendingAppend{a, n.ticks})
	}
}

func (n *Node) removePending(a *Append) {
	if len(n.appends.pending) > 0 && n.appends.pending[0].append == a {
		n.appends.pending = n.appends.pending[1:]
	}
}
