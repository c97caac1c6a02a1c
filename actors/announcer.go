package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/version"
)

// announcerActor brings a machine that has just started up to date with its
// cluster, and the cluster with it: it waits until everything committed is applied,
// and proposes what has changed on the command line since the last start. Then the
// machine is ready for clients.
type announcerActor struct {
	member       store.Member
	commands     version.Range
	historyLimit *uint32 // nil: unchanged
	maxMembers   *int    // nil: unchanged
	quota        *uint64 // nil: unchanged
	ready        chan<- struct{}
	log          *slog.Logger
	fatal        fatal
	pause        time.Duration // before a retry
	afterFunc    func(time.Duration, func()) Timer

	to       *pids
	timer    Timer // nil: not needed yet
	finished bool
}

func (a *announcerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		a.to = m
	case begin:
		a.sync(ctx)
	case *Synced:
		if m.Err != nil {
			a.retry(ctx, "this machine waits for its cluster", m.Err)
			return
		}
		ctx.Send(a.to.raft, &Status{ReplyTo: ctx.Self()})
	case *StatusReply:
		a.announce(ctx, m)
	case *Proposed:
		a.announced(ctx, m)
	case announceDue:
		a.sync(ctx)
	case *actor.Stopping:
		if a.timer != nil {
			a.timer.Stop()
		}
	}
}

func (a *announcerActor) announced(ctx actor.Context, m *Proposed) {
	if errors.Is(m.Err, raftnode.ErrRemoved) {
		return // the peers say so too when this machine connects, and then it stops
	}
	if taken, ok := errors.AsType[*raftnode.TakenError](m.Err); ok {
		a.fatal("this machine was started with the name or an address of another member of its cluster: the process ends, and nothing has changed. "+
			"Start it with -n, -s and -c as they were, or with a name and addresses of its own",
			"reason", taken.Err, "member", MemberID(taken.By),
			"name", a.member.Name, "peers", a.member.PeerURL, "clients", a.member.ClientURL)
		return
	}
	if m.Err != nil {
		a.retry(ctx, "cannot announce this machine to the cluster yet", m.Err)
		return
	}
	a.sync(ctx) // look whether anything is left to announce
}

// retry tries again after a pause: an overloaded machine refuses at once. The reason is logged
// once, as a warning; the raft actor logs which members are missing.
func (a *announcerActor) retry(ctx actor.Context, message string, err error) {
	level := slog.LevelWarn
	if a.timer != nil {
		level = slog.LevelDebug
	}
	a.log.Log(context.Background(), level, message, "error", err)
	if a.timer != nil {
		a.timer.Reset(a.pause)
		return
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	a.timer = a.afterFunc(a.pause, func() { root.Send(self, announceDue{}) })
}

func (a *announcerActor) sync(ctx actor.Context) {
	ctx.Send(a.to.raft, &Sync{ReplyTo: ctx.Self()})
}

// announce proposes what the cluster does not know yet. If it knows all, the machine is ready.
func (a *announcerActor) announce(ctx actor.Context, status *StatusReply) {
	// The first leader proposes the limits of a cluster that has none. They come before what was given here.
	unlimited := status.Version >= store.VersionOfFounders && status.MaxMembers == 0
	switch {
	case !slices.Contains(status.Members, a.member):
		a.log.Info("announcing the name and addresses of this machine", "name", a.member.Name,
			"clients", a.member.ClientURL, "peers", a.member.PeerURL)
		ctx.Send(a.to.raft, &Join{ReplyTo: ctx.Self(), Member: a.member, Commands: a.commands})
	case unlimited && (a.historyLimit != nil || a.maxMembers != nil || a.quota != nil):
		a.retry(ctx, "this machine waits for the limits of its cluster, to change them", raftnode.ErrNoLeader)
	case a.historyLimit != nil && int(*a.historyLimit) != status.HistoryLimit:
		a.log.Info("changing how many events are kept for watchers", "from", status.HistoryLimit, "to", *a.historyLimit)
		a.propose(ctx, &storepb.Command{Kind: &storepb.Command_Configure{Configure: &storepb.Configure{HistoryLimit: *a.historyLimit}}})
	case a.maxMembers != nil && *a.maxMembers != status.MaxMembers && status.Version >= store.VersionOfVersions:
		a.log.Info("changing how many machines the cluster may have", "from", status.MaxMembers, "to", *a.maxMembers)
		a.propose(ctx, &storepb.Command{Kind: &storepb.Command_Configure{Configure: &storepb.Configure{
			HistoryLimit: uint32(status.HistoryLimit), MaxMembers: uint32(*a.maxMembers),
		}}})
	case a.quota != nil && *a.quota != status.Quota && status.Version >= store.VersionOfLimits:
		a.log.Info("changing how many bytes the keys may have", "from", status.Quota, "to", *a.quota)
		a.propose(ctx, SetQuota(*a.quota))
	case !a.finished:
		a.finished = true
		close(a.ready)
	}
}

func (a *announcerActor) propose(ctx actor.Context, c *storepb.Command) {
	ctx.Send(a.to.raft, &Propose{ReplyTo: ctx.Self(), Command: store.Encode(c)})
}

// SetQuota is the command that sets how many bytes the keys may have.
func SetQuota(bytes uint64) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_SetQuota{SetQuota: &storepb.SetQuota{Bytes: bytes}}}
}

func memberMessage(m store.Member) *storepb.Member {
	return &storepb.Member{Id: m.ID, Name: m.Name, PeerUrl: m.PeerURL, ClientUrl: m.ClientURL}
}
