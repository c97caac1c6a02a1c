package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/witness"
)

// raftActor drives the consensus core and hands out its work.
type raftActor struct {
	node  *raftnode.Node
	clock func() raftnode.Reading
	time  *logTime
	watch clockWatch
	log   *slog.Logger

	to       *pids
	flushing bool

	leader      uint64
	leads       bool
	version     uint32 // of the cluster by the state, 0 if unknown
	leaderSince logtime.Time
	appends     Appends
	followers   raftnode.Followers // while this machine leads
	patience    time.Duration      // after which an answer of theirs counts as lost
	handingOver []chan<- struct{}

	peers   *peers
	names   *names
	metrics *metrics
	fatal   fatal
	gone    func(d Departure) // called when this machine must not go on

	probation   *witness.Probation
	abandonment abandonment
	applied     uint64 // index of the last entry that was applied
	committed   uint64 // commit index known at the start
	out         bool   // this machine must not take part any more
}

func (r *raftActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Propose:
		r.node.Propose(m.Command, m)
	case *Read:
		r.node.Read(m)
	case *Query:
		r.node.Read(m)
	case *Sync:
		r.node.Read(m)
	case *appended:
		for _, a := range m.appends {
			r.must(r.node.Appended(a))
		}
	case *applied:
		r.applied = m.apply.Last
		r.must(r.node.Applied(m.apply))
	case *snapshotLogged:
		r.must(r.node.Snapshotted(m.meta, m.size))
	case *releaseLog:
		r.must(r.node.Release(m.index))
	case *readBack:
		r.must(r.node.ReadBackDone(m.from, m.entries))
	case tick:
		r.node.Tick()
		r.metrics.raft.set(r.node.Status())
		mono := r.clock().Mono
		r.followers.Expire(mono - min(mono, uint64(r.patience)))
		if r.probation.Tick() {
			r.leave(Departure{Reason: rivalMessage(r.peers.self)})
		}
		if member := r.abandonment.tick(r.leader != 0); member != 0 {
			r.leave(Departure{Reason: abandonedMessage(member, r.peers.advisor(member))})
		}
	case *raftnode.Message:
		if r.mute() {
			return
		}
		_, believed := r.peers.inbox.proven(m.GetFrom())
		message := *m
		message.Unproven = !believed
		err := r.node.Step(message, r.clock())
		if errors.Is(err, raftnode.ErrLost) && believed {
			r.log.Error("this machine must not go on", "error", err)
			r.leave(Departure{Reason: lossMessage(r.peers.self, r.peers.advisor(m.GetFrom())), Lost: true})
			return
		}
		if err != nil {
			r.peers.inbox.refuse("refused a message of another machine", "error", err)
			return
		}
		switch m.GetType() {
		case raftpb.MsgApp:
			r.appends.Received++
		case raftpb.MsgAppResp:
			r.followers.Answered(m.Message, r.clock().Mono)
		}
	case *offered:
		if r.mute() {
			m.answer(false, errNotYet)
			return
		}
		m.answer(r.node.Offered(m.message))
		return
	case *reached:
		r.node.Reached(uint64(m.time), r.clock())
	case *forwarded:
		if err := r.node.Forwarded(m.from, m.payload, m.bad); err != nil {
			r.peers.inbox.refuse("refused a proposal of another machine", "member", MemberID(m.from), "error", err)
		}
	case *rejected:
		if err := r.node.Rejected(m.from, m.payload); err != nil {
			r.peers.inbox.refuse("refused an answer of another machine", "member", MemberID(m.from), "error", err)
		}
	case *undelivered:
		r.must(r.node.Undelivered(m.payload))
	case *Join:
		r.node.ProposeMember(raftnode.KindAdd, m.Member.ID, setMemberCommand(m.Member, m.Commands, r.version), m)
	case *Leave:
		r.node.ProposeMember(raftnode.KindRemove, m.Member, store.Encode(&storepb.Command{
			Kind: &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: m.Member}},
		}), m)
	case *membership:
		r.names.set(m.members)
		r.node.SetRoster(m.roster())
		r.noteVersion(m.version)
		r.peers.set(ctx, m)
		for _, id := range m.removed {
			r.probation.Unreachable(id)
		}
	case *understood:
		r.node.Understands(m.member, m.commands)
		return
	case *located:
		r.peers.locate(ctx, m)
		return
	case *broadcast:
		r.peers.broadcast(ctx, m.frame)
		return
	case *reconnected:
		r.node.Reconnected(m.member)
	case *welcomed:
		r.probation.Welcomed(m.member)
		r.abandonment.welcomed(m.member)
		return
	case *contested:
		r.probation.Rival(m.member)
		return
	case *unreachable:
		r.probation.Unreachable(m.member)
		r.node.Unreachable(m.member)
		if r.leads {
			r.followers.Unreachable(m.member)
		}
	case *gone:
		if r.node.Gone(m.member) {
			r.log.Info(LeaderGone, "leader", MemberID(m.member))
		}
	case *refounded:
		if r.abandonment.note(m.member) {
			r.log.Error("a member has left this cluster: it was made a cluster of its own, with its data (-force-new-cluster). "+
				"This machine goes on as long as there is a leader. If that was a mistake, remove the member here, and let that machine "+
				"join again with an empty data directory and -C", "member", MemberID(m.member))
		}
		return
	case *snapshotSent:
		r.node.SnapshotSent(m.member, m.ok)
	case *expelled:
		r.leave(m.departure)
		return
	case *handOver:
		r.handOver(m)
	case *Status:
		ctx.Send(r.to.store, r.status(m))
		return
	case *AskLeader:
		ctx.Send(m.ReplyTo, &LeaderReply{ID: m.ID, Leader: r.leader})
		return
	case flush:
		r.flushing = false
		r.work(ctx)
		return
	case *pids:
		r.to = m
		return
	case begin:
	case *actor.Stopping:
		r.peers.stop(ctx)
		return
	default:
		return
	}
	if !r.flushing {
		r.flushing = true
		ctx.Send(ctx.Self(), flush{})
	}
}

// errNotYet: see [witness.Probation].
var errNotYet = errors.New("this machine is on probation until its peers have welcomed it, or must not take part any more")

// work carries out what the core asks for. Reads go behind the entries they wait for.
func (r *raftActor) work(ctx actor.Context) {
	for {
		now := r.clock()
		work, ok := r.node.Work(now)
		r.publishTime(now)
		r.peers.inbox.version.Store(r.node.Version())
		if !ok {
			return
		}
		if work.Leader != nil {
			r.leaderChanged(ctx, work.Leader)
		}
		if work.Leaderless != nil {
			r.logLeaderless(work.Leaderless)
			if r.leader == 0 { // one may have been found since then
				ctx.Send(r.to.hub, leaderless(true))
			}
		}
		if work.Fullness != nil {
			r.logFullness(work.Fullness)
		}
		if work.DiskStalled {
			r.log.Warn(SlowDisk)
		}
		if work.PromoteErr != nil {
			r.log.Warn("cannot promote a learner yet", "error", work.PromoteErr)
		}
		r.logSkipped(work.Skipped)
		if u := work.Unappliable; u != nil {
			unappliable(r.fatal, u)
		}
		if work.Append != nil {
			ctx.Send(r.to.wal, work.Append)
		}
		if work.Release > 0 {
			ctx.Send(r.to.wal, &releaseLog{index: work.Release})
		}
		if work.ReadBack != nil {
			ctx.Send(r.to.wal, work.ReadBack)
		}
		if r.mute() {
			work.Messages = r.dropMessages(ctx, work.Messages)
		}
		for _, m := range work.Messages {
			if m.GetType() == raftpb.MsgApp {
				r.appends.Sent++
			}
			r.followers.Sent(m, now.Mono)
		}
		r.peers.send(ctx, &work)
		if work.Install != nil {
			ctx.Send(r.to.store, &install{meta: work.Install})
		}
		if work.Apply != nil {
			ctx.Send(r.to.store, work.Apply)
		}
		if len(work.Reads) > 0 {
			ctx.Send(r.to.store, &release{tokens: work.Reads})
		}
		if work.TakeSnapshot != nil {
			ctx.Send(r.to.store, &takeSnapshot{meta: work.TakeSnapshot})
		}
		for _, f := range work.Failed {
			r.metrics.countFailure(f.Token)
			replyFailed(ctx, f.Token, f.Err)
		}
		if work.Removed {
			r.log.Info("this machine was removed from the cluster; it stops when another member says so, too")
		}
	}
}

// publishTime publishes what is known of the time of the log on this machine.
func (r *raftActor) publishTime(now raftnode.Reading) {
	clock := r.node.Clock()
	if known := r.time.known.Load(); known == nil || *known != clock {
		r.time.known.Store(&clock)
	}
	r.watch.look(clock, now)
}

// noteVersion notes the version of the cluster, and logs that it was raised.
func (r *raftActor) noteVersion(of uint32) {
	if r.version > 0 && of > r.version {
		r.log.Info("the version of the cluster was raised", "from", r.version, "to", of)
	}
	r.version = of
}

func (r *raftActor) status(request *Status) *status {
	known := StatusReply{
		ID: request.ID, Raft: r.node.Status(),
		LeaderSince: r.leaderSince, Appends: r.appends, Refused: r.peers.inbox.refused.Load(),
	}
	if r.leads {
		others := slices.Concat(known.Raft.Voters, known.Raft.Learners)
		others = slices.DeleteFunc(others, func(id uint64) bool { return id == known.Raft.MemberID })
		known.Followers = r.followers.Stats(others)
	}
	return &status{request: request, known: known}
}

func (r *raftActor) leaderChanged(ctx actor.Context, leader *raftnode.Leader) {
	if leader.ID != r.leader {
		if leader.ID != 0 {
			r.metrics.leaderChanges.Add(1)
		}
		r.leader, r.leaderSince = leader.ID, logtime.Time(r.clock().Mono)
	}
	switch {
	case leader.Self:
		r.log.Info("this machine leads the cluster", "term", leader.Term)
	case leader.ID == 0:
		r.log.Debug("no leader is known", "term", leader.Term)
	default:
		r.log.Info("another machine leads the cluster", "leader", MemberID(leader.ID), "term", leader.Term)
	}
	r.leads = leader.Self
	r.metrics.raft.set(r.node.Status())
	r.followers.Reset()
	ctx.Send(r.to.reaper, leader)
	if leader.ID != 0 {
		ctx.Send(r.to.hub, leaderless(false))
	}
	if !leader.Self && leader.ID != 0 {
		for _, done := range r.handingOver {
			close(done)
		}
		r.handingOver = nil
	}
}

// logLeaderless logs which members could elect a leader and which are missing for that.
func (r *raftActor) logLeaderless(l *raftnode.Leaderless) {
	message := "no leader: too few members can be reached to elect one; until then nothing can be written, and reads wait unless they are local"
	if len(l.Reached) >= l.Majority() {
		message = "no leader yet, though enough members can be reached to elect one"
	}
	list := func(ids []uint64) string {
		named := make([]string, len(ids))
		for i, id := range ids {
			named[i] = MemberID(id)
		}
		return strings.Join(named, ", ")
	}
	r.log.Warn(message, "reached", fmt.Sprintf("%d of %d", len(l.Reached), len(l.Reached)+len(l.Missing)), "needed", l.Majority(),
		"members", list(l.Reached), "missing", list(l.Missing))
}

// Logged by a machine whose log is full, by a leader whose disk is too slow, and by a follower
// that need not wait for its leader.
const (
	LogFull = "the log is full until the next snapshot is on disk: a leader refuses writes meanwhile, a follower falls behind. " +
		"If this happens again, the disk is too slow for what is written"
	SlowDisk   = "the disk has not answered for an election timeout: handing over the leadership"
	LeaderGone = "nothing listens any more where the leader was: electing another"
)

func (r *raftActor) logFullness(f *raftnode.Fullness) {
	r.metrics.logFull.Store(f.Full)
	if f.Full {
		r.log.Warn(LogFull, "bytes", f.Bytes)
		return
	}
	r.log.Info("the log has room again", "bytes", f.Bytes)
}

func (r *raftActor) handOver(m *handOver) {
	if !r.node.Transfer() {
		close(m.done)
		return
	}
	r.handingOver = append(r.handingOver, m.done)
}

func (r *raftActor) must(err error) {
	if err != nil {
		panic(err)
	}
}
