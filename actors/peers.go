package actors

import (
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/transport"
)

// peers are the actors for the other members. They belong to the raft actor.
type peers struct {
	self   uint64
	spawn  func(member uint64, addr string) *actor.PID
	inbox  *inbox
	drop   func(member uint64) // closes the streams that come from a member
	actors map[uint64]*peer
}

type peer struct {
	pid  *actor.PID
	addr string
}

// set makes the peers those of the cluster.
func (ps *peers) set(ctx actor.Context, m *membership) {
	ps.inbox.roster.Store(&roster{members: m.members, removed: m.removed})
	keep := map[uint64]bool{ps.self: true}
	for _, member := range m.members {
		keep[member.ID] = true
		ps.add(ctx, member)
	}
	for id, p := range ps.actors {
		if !keep[id] {
			ctx.Stop(p.pid)
			delete(ps.actors, id)
			ps.drop(id)
		}
	}
}

func (ps *peers) add(ctx actor.Context, member store.Member) {
	addr := peerAddr(member)
	p, ok := ps.actors[member.ID]
	switch {
	case member.ID == ps.self:
	case !ok:
		ps.actors[member.ID] = &peer{pid: ps.spawn(member.ID, addr), addr: addr}
	case p.addr != addr:
		p.addr = addr
		ctx.Send(p.pid, &moved{addr: addr})
	}
}

// locate notes where a member says it is now. It tells the cluster itself as soon as
// it can hear it.
func (ps *peers) locate(ctx actor.Context, m *located) {
	if p, ok := ps.actors[m.member]; ok && p.addr != m.addr {
		p.addr = m.addr
		ctx.Send(p.pid, &moved{addr: m.addr})
	}
}

// peerAddr is the peer address of a member, host:port.
func peerAddr(m store.Member) string { return strings.TrimPrefix(m.PeerURL, "http://") }

func (ps *peers) broadcast(ctx actor.Context, frame transport.Frame) {
	for _, p := range ps.actors {
		ctx.Send(p.pid, &outgoing{frames: []transport.Frame{frame}})
	}
}

func (ps *peers) stop(ctx actor.Context) {
	for _, p := range ps.actors {
		ctx.Stop(p.pid)
	}
	clear(ps.actors)
}

// send spreads what is for other members. What is for one that is not known (any
// more) is lost, as on any network.
func (ps *peers) send(ctx actor.Context, work *raftnode.Work) {
	if len(work.Messages) == 0 && len(work.Forwards) == 0 && len(work.Rejects) == 0 {
		return
	}
	out := make(map[uint64]*outgoing)
	to := func(id uint64) *outgoing {
		if out[id] == nil {
			out[id] = &outgoing{}
		}
		return out[id]
	}
	for _, m := range work.Messages {
		o := to(m.GetTo())
		o.messages = append(o.messages, m)
	}
	for _, f := range work.Forwards {
		o := to(f.To)
		o.frames = append(o.frames, transport.Frame{Kind: transport.KindForward, Payload: f.Payload})
	}
	for _, f := range work.Rejects {
		o := to(f.To)
		o.frames = append(o.frames, transport.Frame{Kind: transport.KindReject, Payload: f.Payload})
	}
	for id, o := range out {
		if p, ok := ps.actors[id]; ok {
			ctx.Send(p.pid, o)
			continue
		}
		for _, m := range o.messages {
			if m.GetType() == raftpb.MsgSnap {
				ctx.Send(ctx.Self(), &snapshotSent{member: id})
			}
		}
	}
}
