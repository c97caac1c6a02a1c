package raftnode

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Work is what has to happen next. Fields are independent of each other except
// that Apply comes before Reads and before TakeSnapshot.
type Work struct {
	// Append has to be made durable, in the order in which it is handed out, and
	// then given back to Appended; one that is not Urgent need not be.
	Append *Append
	// Apply has to be applied, in the order in which it is handed out, and then
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
	// Messages are for other machines. They may be lost. Time goes with them: it is that of
	// the log, 0 if this machine does not know it.
	Messages []*raftpb.Message
	Time     uint64
	// Forwards and Rejects are for other machines as well.
	Forwards []Forward
	Rejects  []Reject
	// Install replaces the state by that of the snapshot with this metadata, which
	// is durable. It comes before Apply.
	Install *raftpb.SnapshotMetadata
	// Leaderless is set once when there has been no leader for longer than elections take.
	Leaderless *Leaderless
	// Fullness is set when the log has become full, and when it has room again.
	Fullness *Fullness
	// DiskStalled says that this leader transfers its leadership, because its disk has not
	// answered for an election timeout.
	DiskStalled bool
	// PromoteErr is why a learner that has caught up is not promoted yet. That is retried at
	// the next tick.
	PromoteErr error
	// Unappliable is an entry without which this machine must not go on. The Node must not be
	// called after that.
	Unappliable *Unappliable
	// Skipped are entries that were to be skipped.
	Skipped []Skipped
	// ReadBack asks for entries on disk, for ReadBackDone.
	ReadBack *ReadBack
	// Release is up to which entry the log on disk may be removed; 0: nothing new. Nothing up
	// to there is read back any more, unless it was asked for earlier.
	Release uint64
	// Removed says that this machine is no longer a member. It must not stop before
	// another one knows that: of two machines the remaining one could not find out
	// alone.
	Removed bool
}

// Append is one write to the log: all of it or nothing.
type Append struct {
	HardState *raftpb.HardState // nil: unchanged
	Entries   []*raftpb.Entry
	Snapshot  *raftpb.SnapshotMetadata // nil: none; its file is durable already
	// Urgent says that something waits for this write. Otherwise it may be batched with
	// the next urgent one.
	Urgent bool

	responses []*raftpb.Message
}

// Apply is a run of committed entries.
type Apply struct {
	Entries []Entry
	// Last is the index of the last entry, including those that carry no command, and Term its term.
	Last, Term uint64

	response *raftpb.Message
}

// Entry is one committed command.
type Entry struct {
	Index   uint64
	Term    uint64
	Now     uint64 // when the leader took it into its log, nanoseconds since 1970
	Command []byte
	Token   any // of Propose; nil if no caller on this machine waits
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

// Work returns what there is to do, and false if that is nothing. It has to be called again
// until it returns false.
func (n *Node) Work(now Reading) (Work, bool) {
	n.campaignAlone()
	n.propose(n.clock.At(now))
	n.startReadIndex()
	released := n.release()
	n.stepHeldSnapshot()
	if !released && n.raw.HasReady() {
		n.ready(now)
	}
	n.reportFullness()
	n.requestReadBack()
	if n.storage.needSnapshot || n.full() {
		n.requestSnapshot()
	}
	n.work.Reads = n.reads.release(n.committed.handedOut, n.work.Reads)
	if n.role.leads {
		n.clock.lead(now)
	}
	if n.clock.Known() {
		n.work.Time = n.clock.At(now)
	}
	work := n.work
	n.work = Work{}
	return work, !work.empty()
}

func (w *Work) empty() bool {
	return w.Append == nil && w.Apply == nil && w.TakeSnapshot == nil && w.Leader == nil &&
		w.Install == nil && w.Leaderless == nil && w.Fullness == nil && !w.DiskStalled && w.ReadBack == nil && w.Release == 0 && w.PromoteErr == nil && !w.Removed && w.Unappliable == nil && len(w.Skipped) == 0 && len(w.Reads) == 0 && len(w.Failed) == 0 &&
		len(w.Messages) == 0 && len(w.Forwards) == 0 && len(w.Rejects) == 0
}

// campaignAlone makes a machine that is the only voter lead at once instead of
// waiting for an election timeout.
func (n *Node) campaignAlone() {
	if n.role.leader != raft.None || !n.members.isOnlyVoter(n.cfg.MemberID) {
		return
	}
	status := n.raw.BasicStatus()
	if status.RaftState != raft.StateFollower || status.Applied < status.HardState.GetCommit() {
		return
	}
	_ = n.raw.Campaign() // Raft has no error for this; without an election the next call retries
}

func (n *Node) ready(now Reading) {
	rd := n.raw.Ready()
	if rd.HardState != nil && !raft.IsEmptyHardState(rd.HardState) {
		n.role.term = rd.HardState.GetTerm()
	}
	if rd.SoftState != nil {
		n.proposals.retryRejected()
		n.reads.retryNow()
		n.role.leader = rd.SoftState.Lead
		if n.role.leader != raft.None {
			n.role.leaderless = 0 // it may be gone again before the next tick
		}
		leads := rd.SoftState.RaftState == raft.StateLeader
		if leads && !n.role.leads {
			n.role.since = n.ticks
			n.inheritTime(now)
		}
		n.role.leads = leads
		if !n.role.leads {
			n.members.stepDown()
		}
	}
	if leader := (Leader{ID: n.role.leader, Term: n.role.term, Self: n.role.leads}); leader != n.role.reported {
		n.role.reported = leader
		n.work.Leader = &leader
	}
	for _, rs := range rd.ReadStates {
		n.reads.confirm(rs.RequestCtx, rs.Index)
	}
	for _, m := range rd.Messages {
		switch m.GetType() {
		case raftpb.MsgStorageAppend:
			n.work.Append = newAppend(m)
			n.clock.reachAll(n.work.Append.Entries, now)
			n.noteLast(n.work.Append)
			n.addPending(n.work.Append)
		case raftpb.MsgStorageApply:
			n.hold(m)
		default:
			n.reads.sentContexts.note(m)
			n.work.Messages = append(n.work.Messages, m)
		}
	}
	n.appends.untruncated = n.appends.last
}
