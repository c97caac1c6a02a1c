package raftnode

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// Work is what has to happen next. Fields are independent of each other except
// that Apply comes before Reads and before TakeSnapshot.
type Work struct {
	// Append is to be made durable, in the order in which it is handed out, and
	// then given back to Appended; one that is not Urgent need not be.
	Append *Append
	// Apply is to be applied, in the order in which it is handed out, and then
	// given back to Applied.
	Apply *Apply
	// Reads may be answered from state that has all entries handed out so far.
	Reads []any
	// TakeSnapshot asks for a snapshot of the state that has exactly the entries
	// handed out so far. The metadata is what it must be stored with.
	TakeSnapshot *raftpb.SnapshotMetadata
	// Failed requests will not be served.
	Failed []Failure
	// Leader is set when the leader, or the term, has changed.
	Leader *Leader
	// Messages are for other machines. They may be lost.
	Messages []*raftpb.Message
	// Forwards and Rejects are for other machines as well.
	Forwards []Forward
	Rejects  []Reject
	// Install replaces the state by that of the snapshot with this metadata, which
	// is durable. It comes before Apply.
	Install *raftpb.SnapshotMetadata
	// Removed says that this machine is no longer a member. It must not stop before
	// another one knows that: of two machines the one that is left could not find out
	// alone.
	Removed bool
}

// Append is one write to the log: all of it or nothing.
type Append struct {
	HardState *raftpb.HardState // nil: unchanged
	Entries   []*raftpb.Entry
	Snapshot  *raftpb.SnapshotMetadata // nil: none; its file is durable already
	// Urgent says that something waits for this write. Otherwise it may be written
	// together with the next one that is urgent.
	Urgent bool

	responses []*raftpb.Message
}

// Apply is a run of committed entries.
type Apply struct {
	Entries []Entry
	// Last is the index of the last entry, including those that carry no command.
	Last uint64

	response *raftpb.Message
}

// Entry is one committed command.
type Entry struct {
	Index   uint64
	Now     uint64 // wall time of the proposal, nanoseconds since 1970
	Command []byte
	Token   any // of Propose; nil if nobody on this machine waits
}

// Failure answers a request that is not served.
type Failure struct {
	Token any
	Err   error
}

// Leader is who leads.
type Leader struct {
	ID   uint64 // 0: nobody known
	Term uint64
	Self bool
}

// Work returns what there is to do, and false when there is nothing. It is to be
// called again until it returns false.
func (n *Node) Work() (Work, bool) {
	n.campaignAlone()
	n.propose()
	n.askReadIndex()
	released := n.release()
	n.stepHeldSnapshot()
	if !released && n.raw.HasReady() {
		n.ready()
	}
	if n.storage.wanted {
		n.askSnapshot()
	}
	n.work.Reads = n.reads.release(n.handedOut, n.work.Reads)
	work := n.work
	n.work = Work{}
	return work, !work.empty()
}

func (w *Work) empty() bool {
	return w.Append == nil && w.Apply == nil && w.TakeSnapshot == nil && w.Leader == nil &&
		w.Install == nil && !w.Removed && len(w.Reads) == 0 && len(w.Failed) == 0 &&
		len(w.Messages) == 0 && len(w.Forwards) == 0 && len(w.Rejects) == 0
}

// Appended reports that a is durable.
func (n *Node) Appended(a *Append) error {
	n.unstall(a)
	if a.HardState != nil {
		n.durableCommit = a.HardState.GetCommit()
	}
	if a.Snapshot != nil {
		if err := n.storage.ApplySnapshot(&raftpb.Snapshot{Metadata: a.Snapshot}); err != nil {
			return fmt.Errorf("raftnode: install the snapshot at index %d: %w", a.Snapshot.GetIndex(), err)
		}
		n.install(a.Snapshot)
	}
	if err := n.storage.Append(a.Entries); err != nil {
		return fmt.Errorf("raftnode: append to the log in memory: %w", err)
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

// Applied reports that a has been applied.
func (n *Node) Applied(a *Apply) error {
	n.applied = max(n.applied, a.Last) // a snapshot may have been installed meanwhile
	if n.changing && n.changed > 0 && n.applied >= n.changed {
		n.changing, n.changed = false, 0
	}
	if err := n.raw.Step(a.response); err != nil {
		return fmt.Errorf("raftnode: step %s: %w", a.response.GetType(), err)
	}
	return nil
}

// Snapshotted reports that the snapshot that was asked for is durable. The log
// before it, less CatchUpEntries, is dropped from memory.
func (n *Node) Snapshotted(meta *raftpb.SnapshotMetadata) error {
	n.snapshotting = false
	n.storage.wanted = false // Raft asks again if this one is not good either
	if meta.GetIndex() <= n.installed {
		return nil // a newer one of the leader has taken its place
	}
	if _, err := n.storage.CreateSnapshot(meta.GetIndex(), meta.GetConfState(), nil); err != nil {
		return fmt.Errorf("raftnode: snapshot at index %d: %w", meta.GetIndex(), err)
	}
	first, err := n.storage.FirstIndex()
	if err != nil {
		return fmt.Errorf("raftnode: first index: %w", err)
	}
	keep, err := n.catchUp(first, meta.GetIndex())
	if err != nil || keep <= first {
		return err
	}
	if err := n.storage.Compact(keep - 1); err != nil {
		return fmt.Errorf("raftnode: compact: %w", err)
	}
	return nil
}

// catchUp returns the first entry that stays in memory for machines that are a little
// behind a snapshot at index: those after it are bounded in number and in bytes. What
// follows a snapshot that is being sent stays as well: its machine would need another
// one otherwise, and under load never catch up.
func (n *Node) catchUp(first, index uint64) (keep uint64, err error) {
	if first > index {
		return first, nil
	}
	oldest, bytes := max(first, index+1-min(index, n.cfg.CatchUpEntries)), maxCatchUpBytes
	if needed := max(first, n.needed(index)); needed < oldest {
		oldest, bytes = needed, maxNeededBytes
	}
	if oldest > index {
		return index + 1, nil
	}
	entries, err := n.storage.Entries(oldest, index+1, math.MaxUint64)
	if err != nil {
		return 0, fmt.Errorf("raftnode: entries from %d to %d: %w", oldest, index, err)
	}
	size := 0
	for keep = index + 1; keep > oldest; keep-- {
		if size += len(entries[keep-1-oldest].GetData()); size > bytes {
			break
		}
	}
	return keep, nil
}

// needed returns the first entry needed next by a machine that a snapshot is on its way
// to, or that has got one and is not yet within CatchUpEntries of index. Only a leader
// knows.
func (n *Node) needed(index uint64) uint64 {
	first := uint64(math.MaxUint64)
	if !n.isLeader {
		clear(n.fed)
		return first
	}
	n.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch {
		case !n.alive(id), pr.State != tracker.StateSnapshot && pr.Match+n.cfg.CatchUpEntries >= index:
			delete(n.fed, id)
		case pr.State == tracker.StateSnapshot:
			first = min(first, pr.PendingSnapshot+1)
		case !n.fed[id]:
		case pr.State == tracker.StateProbe: // Match is from before the snapshot
			first = min(first, pr.Next)
		default:
			first = min(first, pr.Match+1)
		}
	})
	return first
}

// campaignAlone makes a machine that is the only voter lead at once instead of
// waiting for an election timeout.
func (n *Node) campaignAlone() {
	voters := n.confState.GetVoters()
	if n.leader != raft.None || len(voters) != 1 || voters[0] != n.cfg.MemberID {
		return
	}
	status := n.raw.BasicStatus()
	if status.RaftState != raft.StateFollower || status.Applied < status.HardState.GetCommit() {
		return
	}
	if err := n.raw.Campaign(); err != nil {
		n.cfg.Log.Warn("cannot start an election", "error", err)
	}
}

// askReadIndex starts a ReadIndex for the reads that wait. A leader first waits
// until an entry of its own term is committed and handed out: before that its
// commit index may be older than writes that were acknowledged in an earlier term.
func (n *Node) askReadIndex() {
	if n.leader == raft.None || n.isLeader && n.handedTerm != n.term {
		return
	}
	held := n.heldReads
	n.heldReads = nil
	for _, m := range held {
		n.stepReadIndex(m)
	}
	if context := n.reads.ask(n.ticks, n.cfg.ElectionTicks); context != nil {
		n.raw.ReadIndex(context)
	}
}

// aloneAndNew says whether this machine votes alone and does not know yet, since its
// start, how far the log is committed: go.etcd.io/raft answers a ReadIndex of a learner
// all the same.
func (n *Node) aloneAndNew() bool {
	return len(n.confState.GetVoters()) == 1 && n.handedTerm != n.term
}

func (n *Node) ready() {
	rd := n.raw.Ready()
	if rd.HardState != nil && !raft.IsEmptyHardState(rd.HardState) {
		n.term = rd.HardState.GetTerm()
	}
	if rd.SoftState != nil {
		n.proposals.retryRejected()
		n.reads.askAgain()
		n.leader = rd.SoftState.Lead
		leads := rd.SoftState.RaftState == raft.StateLeader
		if leads && !n.isLeader {
			n.ledSince = n.ticks
		}
		n.isLeader = leads
		n.changing = n.changing && n.isLeader
	}
	if leader := (Leader{ID: n.leader, Term: n.term, Self: n.isLeader}); leader != n.told {
		n.told = leader
		n.work.Leader = &leader
	}
	for _, rs := range rd.ReadStates {
		n.reads.confirm(rs.RequestCtx, rs.Index)
	}
	for _, m := range rd.Messages {
		switch m.GetType() {
		case raftpb.MsgStorageAppend:
			n.work.Append = newAppend(m)
			n.stall(n.work.Append)
		case raftpb.MsgStorageApply:
			n.hold(m)
		default:
			n.work.Messages = append(n.work.Messages, m)
		}
	}
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
	_ = n.raw.Step(m) // as in Step
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
// here, at its place in the order.
func (n *Node) handOut(m *raftpb.Message) {
	entries := m.GetEntries()
	last := entries[len(entries)-1]
	apply := &Apply{Entries: make([]Entry, 0, len(entries)), Last: last.GetIndex(), response: m.GetResponses()[0]}
	for _, e := range entries {
		n.sinceCount++
		n.sinceBytes += uint64(len(e.GetData()))
		if e.GetTerm() != n.handedTerm {
			n.startTerm(e)
		}
		envelope := e.GetData()
		switch e.GetType() {
		case raftpb.EntryNormal:
		case raftpb.EntryConfChange:
			envelope = n.changeMembers(e)
		default:
			panic(fmt.Sprintf("entry %d has type %s, which this program does not know: upgrade this machine", e.GetIndex(), e.GetType()))
		}
		if len(envelope) == 0 {
			continue // the entry with which a leader starts its term, or a change without a command
		}
		id, now, command, err := decodeEntry(envelope)
		if err != nil {
			panic(fmt.Sprintf("entry %d: %v", e.GetIndex(), err))
		}
		apply.Entries = append(apply.Entries, Entry{
			Index: e.GetIndex(), Now: now, Command: command, Token: n.proposals.take(id),
		})
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

func (n *Node) askSnapshot() {
	due := n.storage.wanted || n.cfg.SnapshotEntries > 0 &&
		(n.sinceCount >= n.cfg.SnapshotEntries || n.sinceBytes >= n.cfg.SnapshotBytes)
	if !due || n.snapshotting {
		return
	}
	n.snapshotting, n.storage.wanted = true, false
	n.sinceCount, n.sinceBytes = 0, 0
	n.work.TakeSnapshot = &raftpb.SnapshotMetadata{
		Index:     new(n.handedOut),
		Term:      new(n.handedTerm),
		ConfState: proto.Clone(n.confState).(*raftpb.ConfState),
	}
}
