package raftnode

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/version"
)

// Reasons for which a request is not served. The caller gets them in a [Failure].
var (
	// ErrNoLeader: no leader was known during the whole request timeout. The
	// request was not proposed, so it is safe to retry.
	ErrNoLeader = errors.New("no leader")
	// ErrUnknownOutcome: the request was proposed but was not seen to commit
	// within the request timeout. It may still take effect.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrOverloaded: the log has too many bytes that are not committed yet, or too
	// many requests, or bytes of them, wait. The request was not proposed.
	ErrOverloaded = errors.New("too many requests")
	// ErrTooManyMembers: the cluster has Config.MaxMembers machines already.
	ErrTooManyMembers = errors.New("the cluster has its maximum number of machines")
	// ErrLastVoter: the only machine with a vote cannot be removed.
	ErrLastVoter = errors.New("the last machine of a cluster cannot be removed")
	// ErrLosesQuorum: too few of the machines that would remain are alive.
	ErrLosesQuorum = errors.New("the removal would lose quorum: too few of the remaining machines are alive; remove the dead ones first, or start them")
	// ErrLost: this machine has acked entries that it does not have. It must not go on: a
	// leader that counted its ack may have told a client that they are safe.
	ErrLost = errors.New("this machine has lost entries that it had acked")
	// ErrBadCommand: the leader does not understand the command, or no client may ask for it.
	// It was not proposed.
	ErrBadCommand = errors.New("the leader refuses the command: it is malformed, too long, or of a version that the leader does not know")
	// ErrReservedID: a machine cannot become a member with this ID.
	ErrReservedID = errors.New("the IDs of new members are from 1 to 2^63-1")
)

// Limits of one machine. They bound memory, not behaviour, so they are not flags.
const (
	maxMessageBytes     = 1 << 20   // one append message to another machine
	maxApplyingBytes    = 16 << 20  // committed entries handed out and not yet applied
	maxUncommittedBytes = 64 << 20  // proposals that are not committed yet
	maxNeededBytes      = 256 << 20 // log that is kept for a machine that was sent a snapshot
	maxInflightMessages = 512
	maxInflightBytes    = 64 << 20
	maxWaiting          = 65536    // proposals that wait or are in flight, and reads that wait
	maxWaitingBytes     = 64 << 20 // the commands of these proposals; one alone may have more
)

// DefaultMaxInMemory is the default bound of the entries in memory, in bytes. The garbage
// collector leaves as much room again, and has to look at each of them.
const DefaultMaxInMemory = 16 << 20

// MaxAtStart is how many bytes of entries a start should give to New, counted alike: those are
// applied without another read, and then count against MaxInMemory.
const MaxAtStart = 64 << 20

// Config describes one machine. All fields are required unless said otherwise.
type Config struct {
	// MemberID identifies this machine in the cluster; not 0 and never reused.
	MemberID uint64
	// ElectionTicks and HeartbeatTicks are Raft's timeouts in calls of Tick.
	ElectionTicks, HeartbeatTicks int
	// RequestTicks is how many ticks a request waits for its answer before it fails.
	RequestTicks int
	// SnapshotBytes is after how many bytes of log a snapshot is asked for at the earliest,
	// counting 24 more for each entry; 0 never asks. If the last snapshot is larger, its size
	// counts instead, but no more than MaxSnapshotBytes; 0: no such bound.
	SnapshotBytes, MaxSnapshotBytes uint64
	// SnapshotEntries is after how many entries a snapshot is asked for at the latest; 0: no
	// such bound.
	SnapshotEntries uint64
	// MaxSinceSnapshot bounds the log that is not in a durable snapshot, in bytes; 0 is four
	// times the log after which a snapshot is asked for. At half of it one is asked for.
	MaxSinceSnapshot uint64
	// MaxInMemory bounds the entries in memory, in bytes, counting 128 more for each entry; 0 is
	// DefaultMaxInMemory. Older ones are read back from the log on disk when they are needed.
	MaxInMemory int
	// MaxMembers bounds the size of a cluster whose state has no bound.
	MaxMembers int
	// Commands are the versions of a cluster that this program understands.
	Commands version.Range
	// RaiseTo returns the command that gives the cluster a version. If that is the one it has, the
	// command is to give it the limits that it lacks.
	RaiseTo func(version, from uint32) []byte
	// Describe returns the member that a command of KindAdd describes, or the ID of the one
	// that a command of KindRemove removes. commands are the versions of a cluster that the
	// member says it understands; zero if it does not say. It fails if the command does
	// something else.
	Describe func(kind ProposalKind, command []byte) (m Member, commands version.Range, err error)
	// MaxCommand bounds a command, in bytes. It has to be well below the bound of a frame
	// between machines, because an entry that does not fit into one reaches no follower.
	MaxCommand int
	// Skip are entries that an operator wants skipped.
	Skip Skip
	// FirstProposalID is where this process starts to number its proposals and its
	// ReadIndexes. It must be random: an entry of an earlier process of this machine
	// may still be in the log, and a late answer to it may still arrive.
	FirstProposalID uint64
	// Log receives Raft's own messages.
	Log *slog.Logger
}

// State is what a machine has found on its disk. The zero value is that of a
// machine that has never run.
type State struct {
	HardState *raftpb.HardState
	Snapshot  *raftpb.SnapshotMetadata // nil: none
	// SnapshotSize is how many bytes it has.
	SnapshotSize uint64
	// Terms are those of all entries on disk, up to Last, including entries that the snapshot
	// has; nil if all are in Entries.
	Terms []Term
	Last  uint64
	// Entries are the newest, contiguous, after the snapshot.
	Entries []*raftpb.Entry
	// Time is the latest time in an entry that the snapshot contains, 0 if it has none.
	Time uint64
}

// Term is the term of the entries from index First on, up to the next Term's.
type Term struct{ First, Term uint64 }

// Node is the consensus core of one machine. It is not safe for concurrent use.
type Node struct {
	cfg     Config
	raw     *raft.RawNode
	storage *storage // the log as Raft sees it
	clock   Clock    // the time of the log
	ticks   int      // since the start

	role      role           // who leads
	members   membership     // who belongs to the cluster
	heard     map[uint64]int // tick of the last message of each other member
	appends   appends        // in flight to the disk
	committed committed      // in flight to the state machine
	snapshots snapshots      // when they are due, and who is sent one
	proposals proposals      // of this machine, and forwarded ones that wait
	batch     entryBatch     // of those, as they are given to Raft
	origins   origins        // of what was forwarded to this leader
	reads     reads          // that wait, and their ReadIndexes

	work Work // what is collected for the next call of Work
}

// New builds the core from what was found on disk, at the start of a process.
func New(cfg Config, state State, now Reading) (*Node, error) {
	if cfg.MaxInMemory == 0 {
		cfg.MaxInMemory = DefaultMaxInMemory
	}
	storage, err := newStorage(state, cfg.MaxInMemory)
	if err != nil {
		return nil, fmt.Errorf("raftnode: log: %w", err)
	}
	n := &Node{cfg: cfg, storage: storage, heard: make(map[uint64]int), members: newMembership(cfg.MemberID)}
	n.snapshots.catchingUp = make(map[uint64]bool)
	if meta := state.Snapshot; meta != nil {
		n.setConf(meta.GetConfState())
		n.committed.handedOut, n.committed.term, n.committed.applied = meta.GetIndex(), meta.GetTerm(), meta.GetIndex()
	}
	if term := state.HardState.GetTerm(); term >= maxTermOrIndex {
		return nil, fmt.Errorf("raftnode: implausible term %d in the log: an earlier version of this program took it from a forged message", term)
	}
	n.committed.durable = state.HardState.GetCommit()
	n.clock.reach(state.Time, now)
	n.clock.reachAll(state.Entries, now)
	n.appends.last = storage.last
	raw, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.MemberID,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   storage,
		Applied:                   n.committed.applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyingBytes,
		MaxUncommittedEntriesSize: maxUncommittedBytes,
		MaxInflightMsgs:           maxInflightMessages,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		StepDownOnRemoval:         true,
		DisableProposalForwarding: true, // the leader stamps the time, so it must see the request itself
		Logger:                    logger{cfg.Log},
	})
	if err != nil {
		return nil, fmt.Errorf("raftnode: %w", err)
	}
	n.raw = raw
	n.role.term = raw.BasicStatus().HardState.GetTerm()
	n.role.firstTerm, n.appends.untruncated = n.role.term, n.appends.last
	n.proposals.init(cfg.FirstProposalID)
	n.reads.lastContext = cfg.FirstProposalID
	return n, nil
}

// Founder is a member from the beginning. Command becomes part of the entry that adds it.
type Founder struct {
	ID      uint64
	Command []byte
}

// Bootstrap starts a new cluster. Its members are the founders, who have the entries from index 1
// on, in their order: all of them must call this alike. It is an error to bootstrap a machine whose
// log is not empty.
func (n *Node) Bootstrap(founders []Founder) error {
	peers := make([]raft.Peer, len(founders))
	for i, f := range founders {
		peers[i] = raft.Peer{ID: f.ID, Context: encodeEntry(0, 0, f.Command)}
	}
	if err := n.raw.Bootstrap(peers); err != nil {
		return fmt.Errorf("raftnode: bootstrap: %w", err)
	}
	return nil
}

// Tick lets one unit of time pass, for elections, heartbeats and request timeouts.
func (n *Node) Tick() {
	n.ticks++
	n.tickRaft()
	n.succeed()
	n.countLeaderless()
	n.proposals.retryRejected()
	n.retryUnsent()
	n.expireRequests()
	n.promoteLearner()
	n.scheduleRaise()
	n.transferFromStalledDisk()
}

// Propose asks for the command to become an entry. token comes back with the entry
// when it is handed out, or with a Failure. The command must not be changed
// afterwards.
func (n *Node) Propose(command []byte, token any) {
	n.enqueue(&proposal{command: command, token: token})
}

// enqueue queues a proposal for the next call of Work.
func (n *Node) enqueue(p *proposal) {
	p.deadline = n.ticks + n.cfg.RequestTicks
	switch {
	case len(p.command) > n.cfg.MaxCommand:
		n.fail(p.token, ErrBadCommand)
	case !n.proposals.enqueue(p):
		n.fail(p.token, ErrOverloaded)
	}
}

// Status is a summary for people and metrics.
type Status struct {
	MemberID, Leader, Term uint64
	// Commit is Raft's commit index; Applied that of the last entry known to be applied.
	Commit, Applied uint64
	// Voters are the members with a vote for whom Raft counts votes, in ascending order.
	// Machines that have handed out the same entries have the same, except that a snapshot
	// of the leader counts before it is installed.
	Voters []uint64
	// Learners are the members without a vote.
	Learners []uint64
	// State is Raft's role: StateFollower, StateCandidate, StateLeader, StatePreCandidate. A leader that
	// has heard from no majority within an election timeout counts as a follower without a leader.
	State raft.StateType
	// Pending is how many proposals wait for a leader, or to be committed.
	Pending int
}

// Status returns the present state.
func (n *Node) Status() Status {
	raw := n.raw.BasicStatus()
	s := Status{
		MemberID: n.cfg.MemberID,
		Leader:   n.role.leader,
		Term:     n.role.term,
		Commit:   raw.HardState.GetCommit(),
		Applied:  n.committed.applied,
		Voters:   slices.Sorted(maps.Keys(n.raw.Status().Config.Voters.IDs())),
		Learners: slices.Clone(n.members.learners()),
		State:    raw.RaftState,
		Pending:  n.proposals.count,
	}
	if s.State == raft.StateLeader && n.members.losesQuorum(raft.None, n.alive) {
		s.State, s.Leader = raft.StateFollower, raft.None // Raft notices that at the second election timeout
	}
	return s
}

func (n *Node) fail(token any, err error) {
	if token != nil {
		n.work.Failed = append(n.work.Failed, Failure{Token: token, Err: err})
	}
}

func (n *Node) expireRequests() {
	for p := range n.proposals.expiredWaiting(n.ticks) {
		n.refuse(p, ErrNoLeader)
	}
	for p := range n.proposals.expiredInflight(n.ticks) {
		n.fail(p.token, ErrUnknownOutcome)
	}
	for _, r := range n.reads.expired(n.ticks) {
		n.fail(r.token, ErrNoLeader)
	}
}
