package actors

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store"
	"etcd/store/storepb"
)

// announcerActor brings a machine that has just started up to date with its
// cluster, and the cluster with it: it waits until everything committed is applied,
// and proposes what has changed on the command line since the last time. Then the
// machine is ready for clients.
type announcerActor struct {
	member       store.Member
	historyLimit *uint32 // nil: leave it as it is
	ready        chan<- struct{}
	log          *slog.Logger

	to       *pids
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
			a.log.Warn("still waiting for the cluster", "error", m.Err)
			a.sync(ctx)
			return
		}
		ctx.Send(a.to.raft, &Status{ReplyTo: ctx.Self()})
	case *StatusReply:
		a.announce(ctx, m)
	case *Proposed:
		if m.Err != nil {
			a.log.Warn("cannot announce this machine to the cluster yet", "error", m.Err)
		}
		a.sync(ctx) // look again whether anything is left to say
	}
}

func (a *announcerActor) sync(ctx actor.Context) {
	ctx.Send(a.to.raft, &Sync{ReplyTo: ctx.Self()})
}

func (a *announcerActor) announce(ctx actor.Context, status *StatusReply) {
	command := a.news(status)
	if command != nil {
		ctx.Send(a.to.raft, &Propose{ReplyTo: ctx.Self(), Command: store.Encode(command)})
		return
	}
	if !a.finished {
		a.finished = true
		close(a.ready)
	}
}

// news is what the cluster does not know yet, nil if it knows all.
func (a *announcerActor) news(status *StatusReply) *storepb.Command {
	known := false
	for _, m := range status.Members {
		known = known || m == a.member
	}
	switch {
	case !known:
		a.log.Info("announcing the name and addresses of this machine", "name", a.member.Name,
			"clients", a.member.ClientURL, "peers", a.member.PeerURL)
		return &storepb.Command{Kind: &storepb.Command_SetMember{SetMember: &storepb.SetMember{Member: memberMessage(a.member)}}}
	case a.historyLimit != nil && int(*a.historyLimit) != status.HistoryLimit:
		a.log.Info("changing how many events are kept for watchers", "from", status.HistoryLimit, "to", *a.historyLimit)
		return &storepb.Command{Kind: &storepb.Command_Configure{Configure: &storepb.Configure{HistoryLimit: *a.historyLimit}}}
	}
	return nil
}

func memberMessage(m store.Member) *storepb.Member {
	return &storepb.Member{Id: m.ID, Name: m.Name, PeerUrl: m.PeerURL, ClientUrl: m.ClientURL}
}
