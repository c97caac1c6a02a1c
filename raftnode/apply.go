package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// committed is how far the log is handed out and applied, and what of it is held back.
type committed struct {
	handedOut uint64 // index of the last entry handed out for application
	term      uint64 // its term
	termStart uint64 // index of the first entry of the present term that was handed out
	applied   uint64 // index of the last entry known to be applied

	durable      uint64            // the commit index that is on disk
	held         []*raftpb.Message // committed entries that wait for it, oldest first
	heldSnapshot *raftpb.Message   // a snapshot of the leader that waits for held; nil: none
}

// Applied reports that a has been applied.
func (n *Node) Applied(a *Apply) error {
	n.committed.applied = max(n.committed.applied, a.Last) // a snapshot may have been installed meanwhile
	n.members.applied(n.committed.applied)
	if err := n.raw.Step(a.response); err != nil {
		return fmt.Errorf("raftnode: step %s: %w", a.response.GetType(), err)
	}
	return nil
}

// hold hands committed entries out, unless they contain a conf change and the commit index
// that covers it is not durable yet, or earlier entries are held. When one of two voters is
// removed, the other must have that on its own disk: after a restart the removed one is not
// there any more to tell it.
func (n *Node) hold(m *raftpb.Message) {
	durable := lastConfChange(m) <= n.committed.durable
	if durable && len(n.committed.held) == 0 {
		n.handOut(m)
		return
	}
	n.committed.held = append(n.committed.held, m)
	if durable {
		return
	}
	if n.work.Append == nil {
		n.work.Append = &Append{}
	}
	if !n.work.Append.Urgent {
		n.work.Append.Urgent = true
		n.addPending(n.work.Append)
	}
	n.work.Append.HardState = n.raw.BasicStatus().HardState
}

// release hands out the oldest entries that are held, once their commit index is durable.
func (n *Node) release() bool {
	if len(n.committed.held) == 0 || lastConfChange(n.committed.held[0]) > n.committed.durable {
		return false
	}
	m := n.committed.held[0]
	n.committed.held = slices.Delete(n.committed.held, 0, 1)
	n.handOut(m)
	return true
}

// stepHeldSnapshot gives Raft the snapshot that has waited until nothing is held. Raft
// adopts its members at once: a conf change that is older than the snapshot must not be
// applied after that.
func (n *Node) stepHeldSnapshot() {
	if n.committed.heldSnapshot == nil || len(n.committed.held) > 0 {
		return
	}
	m := n.committed.heldSnapshot
	n.committed.heldSnapshot = nil
	n.stepOther(m)
}

// lastConfChange returns the index of the last conf change among the entries, 0 if there is none.
func lastConfChange(m *raftpb.Message) (index uint64) {
	for _, e := range m.GetEntries() {
		if e.GetType() == raftpb.EntryConfChange {
			index = e.GetIndex()
		}
	}
	return index
}

// handOut turns committed entries into an Apply. A conf change takes effect here,
// in log order. It stops for good at an entry that cannot be applied.
func (n *Node) handOut(m *raftpb.Message) {
	entries := m.GetEntries()
	last := entries[len(entries)-1]
	apply := &Apply{Entries: make([]Entry, 0, len(entries)), Last: last.GetIndex(), Term: last.GetTerm(), response: m.GetResponses()[0]}
	for _, e := range entries {
		n.snapshots.entries++
		n.snapshots.bytes += logBytes(e)
		if e.GetTerm() != n.committed.term {
			n.startTerm(e)
		}
		c, listed, why, err := n.cfg.Skip.decode(e, n.members.checkChange)
		if err != nil {
			n.work.Unappliable = &Unappliable{Index: e.GetIndex(), Term: e.GetTerm(), Data: e.GetData(), Why: err}
			return
		}
		if listed {
			n.work.Skipped = append(n.work.Skipped, Skipped{Index: e.GetIndex(), Why: why})
		}
		if c.change != nil {
			n.changeMembers(e.GetIndex(), c.change)
		} else if e.GetType() == raftpb.EntryConfChange { // it is skipped, and done like one that is applied
			n.members.noteHandedOut(e.GetIndex())
		} else if c.command != nil {
			n.members.noteRaise(e.GetIndex(), c.id)
		}
		if c.command != nil {
			apply.Entries = append(apply.Entries, Entry{
				Index: e.GetIndex(), Term: e.GetTerm(), Now: c.now, Command: c.command, Token: n.proposals.take(c.id),
			})
		}
	}
	n.committed.handedOut = last.GetIndex()
	n.storage.NoteHandedOut(n.committed.handedOut)
	n.work.Apply = apply
	n.requestSnapshot()
}

// startTerm notes the first entry of a term. Entries of earlier terms that have not
// been handed out by now never will be: a proposal that was given to an earlier leader
// and has not come back is lost, and is retried.
func (n *Node) startTerm(e *raftpb.Entry) {
	n.committed.term, n.committed.termStart = e.GetTerm(), e.GetIndex()
	n.proposals.requeueLost(e.GetTerm())
}

// install notes that a snapshot of the leader has become the state.
func (n *Node) install(meta *raftpb.SnapshotMetadata) {
	n.setConf(meta.GetConfState())
	n.snapshots.installed = meta.GetIndex()
	n.committed.handedOut, n.committed.term, n.committed.applied = meta.GetIndex(), meta.GetTerm(), meta.GetIndex()
	n.committed.termStart = meta.GetIndex()
	n.snapshots.entries, n.snapshots.bytes = 0, 0
	n.proposals.noteSnapshot() // the snapshot may have what was not handed out here
	n.work.Install = meta
}
