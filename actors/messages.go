package actors

import (
	"errors"
	"io"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/mvcc"
	"etcd/store/storepb"
	"etcd/store/tree"
	"etcd/transport"
	"etcd/version"
	"etcd/wal"
	"etcd/watch"
)

// This file lists every message. A [Request] carries the PID that is to be answered
// and an ID that its [Answer] repeats, so that a late answer is not taken for that of
// a later request. Messages are never changed after they were sent; nodes and events in
// them are shared and immutable.

// Requests, from sessions.
type (
	// Propose asks the raft actor to have a command committed and applied. It is
	// answered with Proposed.
	Propose struct {
		ID      uint64
		ReplyTo *actor.PID // nil: no answer
		Command []byte     // of store.Encode
	}
	// Read asks for a key. Sent to the raft actor it is linearizable; sent to the
	// store actor it is answered from local state, as soon as that has what the machine
	// knew before its start. Answered with ReadReply.
	Read struct {
		ID      uint64
		ReplyTo *actor.PID
		Path    string
		Deep    bool // with everything below it, and not only its children
	}
	// Query asks for keys of the v3 API: a range, or a transaction that only reads. Sent to the raft actor or to
	// the store actor it is what Read is. Answered with Queried.
	Query struct {
		ID      uint64
		ReplyTo *actor.PID
		Range   *storepb.Range // or Txn
		Txn     *storepb.Txn
	}
	// AwaitFreed asks the store actor to say when the memory is free of all that was compacted so far. Answered
	// with Synced.
	AwaitFreed struct {
		ID      uint64
		ReplyTo *actor.PID
	}
	// Sync asks the raft actor for a moment at which the local state, and the hub,
	// have every write that was acked before. Answered with Synced.
	Sync struct {
		ID      uint64
		ReplyTo *actor.PID
	}
	// Join asks the raft actor to add a member, or to change the name or the addresses of
	// one. Answered with Proposed: Err may be one of raftnode's that refuse the conf change,
	// such as a *raftnode.TakenError.
	Join struct {
		ID      uint64
		ReplyTo *actor.PID
		Member  store.Member
		// Commands are the versions of a cluster that the machine understands; zero if it
		// does not say.
		Commands version.Range
	}
	// Leave asks the raft actor to remove a member. Answered with Proposed: Err may be one of
	// raftnode's that refuse the conf change, such as raftnode.ErrLastVoter.
	Leave struct {
		ID      uint64
		ReplyTo *actor.PID
		Member  uint64
	}
	// Freeze asks the store actor for a view of its current state. Answered with Frozen.
	Freeze struct {
		ID      uint64
		ReplyTo *actor.PID
	}
	// Status asks the raft actor for a summary of this machine. Answered with
	// StatusReply from local knowledge, when a local Read would be.
	Status struct {
		ID      uint64
		ReplyTo *actor.PID
	}
	// AskLeader asks the raft actor who leads. Answered with LeaderReply at once,
	// whatever the store actor is doing.
	AskLeader struct {
		ID      uint64
		ReplyTo *actor.PID
	}
	// Watch asks the hub for events, for a new subscriber. Answered with WatchReply.
	Watch struct {
		ReplyTo    *actor.PID
		Subscriber uint64 // unique, and never used again
		Watcher    watch.Watcher
		// Others begin at the same moment: all of them and Watcher, or none.
		Others []watch.Watcher
		// Beat asks for a first WatchReply as soon as the history has been searched, even if there
		// is no event yet.
		Beat bool
	}
	// Beat asks the hub for a sign of life: a WatchReply, without deliveries if there are none.
	Beat struct{ Subscriber uint64 }
	// GiveUp ends the watches of a subscriber that has waited long enough. An event that is on its
	// way is delivered; otherwise the last WatchReply has no deliveries.
	GiveUp struct{ Subscriber uint64 }
	// Unwatch cancels all watches of a subscriber. It is not answered, and an event in
	// flight may still arrive.
	Unwatch struct{ Subscriber uint64 }
	// Written tells the hub that a WatchReply was written out, so that the subscriber may
	// get more. Only those with More need it.
	Written struct{ Subscriber uint64 }
)

// Answers, to sessions.
type (
	// Proposed is the outcome of a Propose. Err is one of raftnode's, and then the
	// result is empty.
	Proposed struct {
		ID     uint64
		Result store.Result
		Err    error
		Times  Times
	}
	// ReadReply is a key as it was when all commands up to Index were applied.
	// Children are those of a directory; if it has more than MaxChildren there is a View
	// to read them from instead, of the same moment. Err is one of raftnode's; Failure is
	// why there is no such key.
	ReadReply struct {
		ID       uint64
		Answered logtime.Time // when it was; 0: it did not wait for anything
		Index    uint64
		Changed  uint64 // index of the last command up to Index that has changed a key
		Node     *tree.Node
		Children []*tree.Node // all below it, in the order of their paths, if the Read is deep
		View     *store.View
		Failure  *tree.Failure
		Err      error
	}
	// Queried is what a Query has found when all commands up to a revision were applied. If it would look at more
	// than MaxWeight keys there is a View to ask instead, of the same moment. Err is one of raftnode's.
	Queried struct {
		ID      uint64
		Outcome mvcc.Outcome
		View    *mvcc.View
		Err     error
	}
	// Synced answers a Sync or an AwaitFreed. Err is one of raftnode's.
	Synced struct {
		ID  uint64
		Err error
	}
	// Frozen is the state after all commands up to its index.
	Frozen struct {
		ID    uint64
		State *store.View
	}
	// LeaderReply names the leader, as far as this machine knows; 0: none.
	LeaderReply struct {
		ID     uint64
		Leader uint64
	}
	// StatusReply is a summary of this machine. Err is one of raftnode's, and then there
	// is none.
	StatusReply struct {
		ID          uint64
		Err         error
		Raft        raftnode.Status
		LeaderSince logtime.Time // when this machine learned of the leader
		Appends     Appends
		// Followers are the other members, if this machine leads.
		Followers []raftnode.FollowerStats
		Refused   int64 // refused connections and messages of other machines
		Members   []store.Member
		Removed   []uint64 // former members
		// HistoryLimit is how many events the cluster keeps for watchers, and Quota how many bytes its keys
		// may have, 0 if there is no limit.
		HistoryLimit int
		Quota        uint64
		// Version is that of the cluster, and MaxMembers how many machines it may have; 0 if
		// the log does not say.
		Version    uint32
		MaxMembers int
		Counts     Counts
	}
	// WatchReply has the next deliveries of a subscriber, in order: events, and the reasons
	// why a watch ends without one, which are *watch.ClearedError, ErrHistoryLost, ErrNoQuorum and
	// ErrClosing. More says that others may follow when the subscriber has sent Written.
	WatchReply struct {
		ID         uint64 // the subscriber
		Deliveries []watch.Delivery
		// Index is that of [watch.Batch]; of an error the index of the newest event, except that
		// ErrClosing, which may overtake deliveries, has none.
		Index uint64
		More  bool
	}
)

// Times are moments in the life of a command, in the time of the log.
type Times struct {
	Logged   logtime.Time // the leader took it into its log
	Applying logtime.Time // this machine began to apply it
	Answered logtime.Time // it was applied
}

// Member returns the member with an ID, if there is one.
func (s *StatusReply) Member(id uint64) (m store.Member, ok bool) {
	i := slices.IndexFunc(s.Members, func(m store.Member) bool { return m.ID == id })
	if i < 0 {
		return m, false
	}
	return s.Members[i], true
}

// ErrHistoryLost answers watchers whose events were in a part of the log that this
// machine skipped by installing a snapshot of the leader.
var ErrHistoryLost = errors.New("this machine has skipped a part of the history: look at the key and watch again")

// ErrNoQuorum answers watchers that need a leader when there has been none for longer than elections
// take. They have missed nothing, and can go on at another machine.
var ErrNoQuorum = errors.New("this machine has lost the majority of the cluster: watch at another one")

// ErrClosing answers watchers when the machine shuts down.
var ErrClosing = errors.New("the machine is shutting down")

// Between the actors of one machine.
type (
	// begin: Start -> each actor, when all have their *pids: from now on it may send
	// without being asked.
	begin struct{}
	// *pids: Start -> each actor, first. Before it an actor knows no other.
	pids struct {
		raft, wal, segments, snapshotter, receiver, store, hub, catchUp, reaper, ticker, announcer, auditor, witness, finder *actor.PID

		writers []*actor.PID
	}

	// tick: ticker -> raft.
	tick struct{}
	// tickDue: timer -> ticker.
	tickDue struct{}
	// flush: an actor -> itself, see the package documentation.
	flush struct{}

	// *raftnode.Append: raft -> WAL writer.

	// appended: WAL writer -> raft. Everything in it is durable.
	appended struct{ appends []*raftnode.Append }

	// *raftnode.ReadBack: raft -> WAL writer, which knows where the entries are.

	// readSegments: WAL writer -> segments.
	readSegments struct {
		extent  wal.Extent
		request *raftnode.ReadBack
	}
	// readBack: segments, or WAL writer, -> raft. The entries from an index on; none if the log
	// does not have them any more.
	readBack struct {
		from    uint64
		entries []*raftpb.Entry
	}
	// prepareSegment: WAL writer -> segments. The current one is half full.
	prepareSegment struct{}
	// segmentPrepared: segments -> WAL writer. nil: there was no space for one.
	segmentPrepared struct{ spare *wal.Spare }
	// removeSegments: WAL writer -> segments. They are no part of the log any more.
	removeSegments struct{ released wal.Released }

	// *raftnode.Apply: raft -> store.

	// applied: store -> raft.
	applied struct{ apply *raftnode.Apply }
	// release: raft -> store. These, *Read or *Sync, may be answered now.
	release struct{ tokens []any }
	// status: raft -> store. Completes a Status with what the store knows.
	status struct {
		request *Status
		known   StatusReply // by the raft actor
	}

	// published: store -> hub. Sent before the answers to the commands that made
	// the events, so that a watch which starts after an answer does not see its event.
	published struct {
		events  []*tree.Event
		history tree.History
	}
	// cleared: hub -> store. A watch asks for events that the history does not have any more.
	cleared struct {
		watch *Watch
		err   error // that says so
	}
	// reconsidered: store -> hub. The watch may begin later, because it wants none of those events. It
	// comes before what the store publishes next. Or err is why it may not.
	reconsidered struct {
		watch *Watch
		err   error
	}
	// leaderless: raft -> hub. There has been no leader for longer than elections take, or there is one
	// again.
	leaderless bool
	// handOut: hub -> writer. Deliveries for subscribers.
	handOut struct{ batches []watch.Batch }
	// handedOut: writer -> hub. It is idle.
	handedOut struct{ writer *actor.PID }

	// *watch.CatchUp: hub -> catch-up, which sends it to itself until the scan is complete,
	// and then back.

	// reportLag: Machine -> hub, which publishes how far subscribers are behind.
	reportLag struct{}

	// closeWatches: Machine -> hub. Answers all watchers, present and future, with
	// ErrClosing.
	closeWatches struct{}

	// freeDue: timer -> store. There is memory left of what was compacted.
	freeDue struct{}

	// audit: store -> auditor. The state at an index at which machines compare theirs.
	audit struct{ state *store.View }
	// audited: a connection -> auditor. The hash of another member's state.
	audited struct {
		from, index uint64
		hash        stateHash
	}
	// broadcast: auditor, witness -> raft. For all other members.
	broadcast struct{ frame transport.Frame }

	// takeSnapshot: raft -> store. Right behind the last entry that it has to contain.
	takeSnapshot struct{ meta *raftpb.SnapshotMetadata }
	// writeSnapshot: store -> snapshotter.
	writeSnapshot struct {
		meta *raftpb.SnapshotMetadata
		body *store.View
	}
	// snapshotWritten: snapshotter -> WAL writer. The file is durable.
	snapshotWritten struct {
		meta *raftpb.SnapshotMetadata
		size uint64 // of its body, in bytes
	}
	// snapshotLogged: WAL writer -> snapshotter and raft. The log has its marker.
	snapshotLogged struct {
		meta *raftpb.SnapshotMetadata
		size uint64 // of snapshotWritten; 0 for one of a leader
	}
	// releaseLog: snapshotter -> raft, raft -> WAL writer, which may get a lower index:
	// members that lag may still need entries. Entries up to index are in every snapshot
	// that is kept.
	releaseLog struct{ index uint64 }

	// install: raft -> store. The state is replaced by that of a snapshot of the
	// leader, before any Apply that follows.
	install struct{ meta *raftpb.SnapshotMetadata }
	// reached: store -> raft. The state has an entry of this time: the snapshot that was
	// installed contains it.
	reached struct{ time logtime.Time }
	// snapshotInstalled: store -> snapshotter. The state is that of the snapshot at index.
	snapshotInstalled struct{ index uint64 }
	// replaced: store -> hub. The history was replaced.
	replaced struct{ history tree.History }
	// offered: a connection -> raft. Whether to receive the snapshot of this message, and
	// whether it has anything that is missing here.
	offered struct {
		message *raftpb.Message
		answer  func(needed bool, err error) // called on the raft actor
	}
	// receiveSnapshot: raft -> receiver, in answer to offered. The body is restored and stored
	// as it comes; if it is not needed it is read and dropped.
	receiveSnapshot struct {
		from   uint64
		meta   *raftpb.SnapshotMetadata
		needed bool
		size   int64 // of the body, in bytes
		body   io.Reader
		done   func(error) // called on the receiver
	}
	// restored: receiver -> store. The state of a snapshot that is on disk and will be
	// installed; without one the last is dropped, and read from the disk if it is installed.
	restored struct {
		meta  *raftpb.SnapshotMetadata
		state *store.Store
	}

	// *raftnode.Leader: raft -> reaper.

	// membership: store -> raft and witness, and Start -> raft of a machine that joins. The
	// members of the cluster, and the former ones.
	membership struct {
		members    []store.Member
		removed    []uint64
		version    uint32 // of the cluster, 0 if it is not known
		maxMembers int    // 0: the log does not say
	}
	// understood: a connection -> raft. What the program of a member understands; zero if
	// the process that says so is not believed to be the member.
	understood struct {
		member   uint64
		commands version.Range
	}
	// outgoing: raft -> peer. For that member.
	outgoing struct {
		messages []*raftpb.Message
		time     uint64 // of raftnode.Work
		frames   []transport.Frame
	}
	// moved: raft -> peer. The member has another address.
	moved struct{ addr string }
	// snapshotSent: peer -> itself and raft, raft -> itself if there is no peer.
	snapshotSent struct {
		member uint64
		ok     bool
	}
	// resendDue: timer -> peer. A snapshot that did not arrive may be resent.
	resendDue struct{}
	// *raftnode.Message: a connection -> raft. From another member.

	// forwarded, rejected: a connection -> raft. From another member.
	forwarded struct {
		from    uint64
		payload []byte
		bad     error // why it must not become an entry
	}
	rejected struct {
		from    uint64
		payload []byte
	}
	// located: a connection, finder -> raft. A member was found at an address. One from the
	// finder is vouched for, by -C or by a known member. The address is told if it rests on
	// nothing but the word of the member itself, or of a member whose own address does.
	located struct {
		member        uint64
		addr          string
		vouched, told bool
	}
	// strangerDialled: a connection -> finder. A machine claims to be a member that this one
	// does not know.
	strangerDialled struct{ member uint64 }
	// whereabouts: raft -> finder. The addresses of the members that have told them
	// themselves, and where the others should be, both in ascending order of their IDs.
	whereabouts struct{ places, missing []transport.Place }
	// findDue: timer -> finder.
	findDue struct{}
	// present: a connection -> finder. Which member is at an address, if any.
	present struct {
		hint
		presence transport.Presence
		err      error
	}
	// undelivered: peer -> raft, raft -> itself if there is no peer. A forwarded proposal that
	// was not sent.
	undelivered struct{ payload []byte }
	// reconnected: peer -> raft. Proposals for the member, and answers to its own, go over a
	// new connection.
	reconnected struct{ member uint64 }
	// unreachable: peer -> raft. Messages to the member may have been lost, and it does not
	// answer any more.
	unreachable struct{ member uint64 }
	// gone: peer -> raft. Nothing listens any more where the member was.
	gone struct{ member uint64 }
	// welcomed: peer -> raft. The member has welcomed this process.
	welcomed struct{ member uint64 }
	// contested: peer -> raft. The member is connected to another process with the identity
	// of this machine.
	contested struct{ member uint64 }
	// refounded: peer -> raft. The member was refounded as a cluster of its own, without this
	// machine.
	refounded struct{ member uint64 }
	// expelled: peer or a connection -> raft. Another member says that this machine is no
	// member, or must not go on as it is.
	expelled struct{ departure Departure }

	// met: a connection -> witness. A process of another member was welcomed, or has sent the
	// reach of its log.
	met struct {
		member, nonce uint64
		reach         wal.Reach
	}
	// witnessDue: timer -> witness.
	witnessDue struct{}

	// handOver: Machine -> raft. Transfer the leadership; done is closed when that has
	// happened or is not possible.
	handOver struct{ done chan<- struct{} }

	// announceDue: timer -> announcer.
	announceDue struct{}

	// nextDeadline: store -> reaper. 0: nothing expires.
	nextDeadline struct{ at logtime.Time }
	// reapDue: timer -> reaper.
	reapDue struct{}
	// collectExpired: reaper -> store. Answered with expired.
	collectExpired struct {
		now     logtime.Time
		replyTo *actor.PID
	}
	// expired: store -> reaper. Commands to be proposed.
	expired struct{ commands [][]byte }
)
