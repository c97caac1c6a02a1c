package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// Applied reports that a has been applied.
func (n *Node) Applied(a *Apply) error {
	n.applied = max(n.applied, a.Last) // a snapshot may have been installed meanwhile
	n.members.applied(n.applied)
	if err := n.raw.Step(a.response); err != nil {
		return fmt.Errorf("raftnode: step %s: %w", a.response.GetType(), err)
	}
	return nil
}

// hold hands committed entries out, unless they change the membership and it is not
// durable yet that they are committed, or others before them wait. Who is left of two
// machines needs that on its disk: after a restart it could not learn it from the one that
// was removed.
func (n *Node) hold(m *raftpb.Message) {
	durable := lastChange(m) <= n.durableCommit
	if durable && len(n.held) == 0 {
		n.handOut(m)
		return
	}
	n.held = append(n.held, m)
	if durable {
		return
	}
	if n.work.Append == nil {
		n.work.Append = &Append{}
	}
	if !n.work.Append.Urgent {
		n.work.Append.Urgent = true
		n.stall(n.work.Append)
	}
	n.work.Append.HardState = n.raw.BasicStatus().HardState
}

// release hands out the oldest committed entries that wait, if they may be.
func (n *Node) release() bool {
	if len(n.held) == 0 || lastChange(n.held[0]) > n.durableCommit {
		return false
	}
	m := n.held[0]
	n.held = slices.Delete(n.held, 0, 1)
	n.handOut(m)
	return true
}

// stepHeldSnapshot gives Raft the snapshot that has waited until nothing is held. Raft
// takes over its members at once: a change that is older than the snapshot must not be
// carried out after that.
func (n *Node) stepHeldSnapshot() {
	if n.heldSnapshot == nil || len(n.held) > 0 {
		return
	}
	m := n.heldSnapshot
	n.heldSnapshot = nil
	n.stepOther(m)
}

// lastChange is the index of the last membership change among the entries, 0 if there
// is none.
func lastChange(m *raftpb.Message) (index uint64) {
	for _, e := range m.GetEntries() {
		if e.GetType() == raftpb.EntryConfChange {
			index = e.GetIndex()
		}
	}
	return index
}

// handOut turns committed entries into an Apply. A membership change takes effect
// here, at its place in the order. At an entry that cannot be applied it ends, for good.
func (n *Node) handOut(m *raftpb.Message) {
	entries := m.GetEntries()
	last := entries[len(entries)-1]
	apply := &Apply{Entries: make([]Entry, 0, len(entries)), Last: last.GetIndex(), response: m.GetResponses()[0]}
	for _, e := range entries {
		n.sinceCount++
		n.sinceBytes += logBytes(e)
		if e.GetTerm() != n.handedTerm {
			n.startTerm(e)
		}
		c, asked, why, err := n.cfg.Skip.open(e, n.members.possible)
		if err != nil {
			n.work.Unappliable = &Unappliable{Index: e.GetIndex(), Term: e.GetTerm(), Data: e.GetData(), Why: err}
			return
		}
		if asked {
			n.work.Skipped = append(n.work.Skipped, Skipped{Index: e.GetIndex(), Why: why})
		}
		if c.change != nil {
			n.changeMembers(e.GetIndex(), c.change)
		} else if e.GetType() == raftpb.EntryConfChange { // it is skipped, and over like one that is carried out
			n.members.handedOut(e.GetIndex())
		} else if c.command != nil {
			n.members.raised(e.GetIndex(), c.id)
		}
		if c.command != nil {
			apply.Entries = append(apply.Entries, Entry{
				Index: e.GetIndex(), Term: e.GetTerm(), Now: c.now, Command: c.command, Token: n.proposals.take(c.id),
			})
		}
	}
	n.handedOut = last.GetIndex()
	n.work.Apply = apply
	n.askSnapshot()
}

// startTerm notes the first entry of a term. Entries of earlier terms that have not
// been handed out by now never will be: what was given to an earlier leader and has
// not been seen did not happen, and is proposed again.
func (n *Node) startTerm(e *raftpb.Entry) {
	n.handedTerm, n.termStart = e.GetTerm(), e.GetIndex()
	n.proposals.takeLost(e.GetTerm())
}

// install notes that a snapshot of the leader has become the state.
func (n *Node) install(meta *raftpb.SnapshotMetadata) {
	n.setConf(meta.GetConfState())
	n.installed = meta.GetIndex()
	n.handedOut, n.handedTerm, n.applied = meta.GetIndex(), meta.GetTerm(), meta.GetIndex()
	n.termStart = meta.GetIndex()
	n.sinceCount, n.sinceBytes = 0, 0
	n.proposals.keep() // the snapshot may have what was not handed out here
	n.work.Install = meta
}
