package actors

import (
	"maps"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/endpoint"
	"etcd/raftnode"
	"etcd/store"
	"etcd/transport"
)

// peers holds the actors for the other members. The raft actor owns it.
type peers struct {
	self   uint64
	spawn  func(member uint64, addr string) *actor.PID
	inbox  *Inbox
	drop   func(member uint64) // closes the streams from a member
	actors map[uint64]*peer
	faulty map[uint64]bool // members whose invalid name or address was logged
	// removed are former members.
	removed []uint64
}

type peer struct {
	pid    *actor.PID
	member store.Member // as of the state of this machine, zero if it is not there
	addr   string       // where it is dialled
	told   bool         // addr is from the member itself, in a handshake: that is never older than the state
	// vouched is an address that a trusted source has named, and at which it was found.
	vouched string
}

// stated returns its address in the state, empty if it has none there.
func (p *peer) stated() string {
	if p.member.ID == 0 {
		return ""
	}
	return peerAddr(p.member)
}

// maxPeers bounds the peers that are not in the state of this machine, and the addresses that
// are asked in one search for them.
const maxPeers = 200

// set takes the members as of the state of this machine. That may be behind, so only those
// that were removed are dropped.
func (ps *peers) set(ctx actor.Context, m *membership) {
	ps.inbox.members.Store(&m.members)
	ps.removed = m.removed
	for _, member := range m.members {
		ps.warnInvalid(member)
		addr := peerAddr(member)
		if p, ok := ps.actors[member.ID]; addr != "" && (!ok || !p.told) {
			ps.connect(ctx, member.ID, addr)
		}
		if p, ok := ps.actors[member.ID]; ok {
			p.member = member
		}
	}
	for _, id := range m.removed {
		if p, ok := ps.actors[id]; ok {
			ctx.Stop(p.pid)
			delete(ps.actors, id)
			ps.drop(id)
		}
	}
	ps.publish(ctx)
}

// warnInvalid logs once what is wrong with a member that an earlier version has accepted.
func (ps *peers) warnInvalid(m store.Member) {
	err := endpoint.CheckListed(m.Name, m.PeerURL, m.ClientURL)
	if err == nil || m.ID == ps.self || ps.faulty[m.ID] {
		return
	}
	if ps.faulty == nil {
		ps.faulty = make(map[uint64]bool)
	}
	ps.faulty[m.ID] = true
	ps.inbox.log.Warn("a member has an invalid name or address: an invalid address is neither dialled nor passed on. "+
		"Start it with a valid one (-n, -c); if it is the peer address (-s), remove it and let it join again", "member", MemberID(m.ID), "error", err)
}

// publish tells the inbox which members this machine knows, and the finder which of them have
// told their address themselves and which have not.
func (ps *peers) publish(ctx actor.Context) {
	var places, missing []transport.Place
	known := &addressBook{removed: ps.removed, places: make(map[uint64]memberAddrs, len(ps.actors))}
	order := slices.Sorted(maps.Keys(ps.actors))
	for _, id := range order {
		p := ps.actors[id]
		at := memberAddrs{stated: p.stated(), vouched: p.vouched}
		found := transport.Place{Member: id, Addr: p.addr, Told: !at.isTrusted(p.addr)}
		if p.told {
			at.told = p.addr
			places = append(places, found)
		} else {
			missing = append(missing, found)
		}
		known.places[id] = at
	}
	ps.inbox.setAddressBook(known, order)
	ctx.Send(ps.inbox.to.finder, &whereabouts{places: places, missing: missing})
}

func (m *membership) roster() raftnode.Roster {
	r := rosterOf(m.members, m.removed)
	r.Version, r.MaxMembers = m.version, m.maxMembers
	r.Unlimited = m.version >= store.VersionOfFounders && m.maxMembers == 0
	return r
}

func rosterOf(members []store.Member, removed []uint64) raftnode.Roster {
	r := raftnode.Roster{Members: make([]raftnode.Member, len(members)), Removed: removed}
	for i, member := range members {
		r.Members[i] = raftnode.Member(member)
	}
	return r
}

// locate notes where a member was found. One that has moved announces that to the cluster
// itself, as soon as it is connected; if it is not known, the state of this machine is
// behind, and a known member has named it.
func (ps *peers) locate(ctx actor.Context, m *located) {
	_, known := ps.actors[m.member]
	if m.member == ps.self || slices.Contains(ps.removed, m.member) || !known && (!m.vouched || len(ps.actors) >= maxPeers) {
		return
	}
	ps.connect(ctx, m.member, m.addr)
	p := ps.actors[m.member]
	p.told = true
	if m.vouched && !m.told {
		p.vouched = m.addr
	}
	ps.publish(ctx)
}

func (ps *peers) connect(ctx actor.Context, member uint64, addr string) {
	p, ok := ps.actors[member]
	switch {
	case member == ps.self: // it needs no connection
	case !ok:
		ps.actors[member] = &peer{pid: ps.spawn(member, addr), addr: addr}
	case p.addr != addr:
		p.addr = addr
		ctx.Send(p.pid, &moved{addr: addr})
	}
}

// peerAddr returns the peer address of a member, host:port. Whether to use TLS is up to this
// machine: it is the same in the whole cluster. The address is empty if an earlier version
// has accepted the member with one that must not be dialled.
func peerAddr(m store.Member) string {
	addr, err := endpoint.Address(m.PeerURL)
	if err != nil {
		return ""
	}
	return addr
}

// advisor returns another member for commands that operators are told to run: the given one, or
// one with placeholders if its addresses are unknown or invalid.
func (ps *peers) advisor(best uint64) store.Member {
	if p, ok := ps.actors[best]; ok && p.member.ID == best && endpoint.CheckURL(p.member.ClientURL) == nil && peerAddr(p.member) != "" {
		return p.member
	}
	return store.Member{ClientURL: "http://<client address of another member>", PeerURL: "http://<peer address of another member>"}
}

func (ps *peers) broadcast(ctx actor.Context, frame transport.Frame) {
	for _, id := range slices.Sorted(maps.Keys(ps.actors)) {
		ctx.Send(ps.actors[id].pid, &outgoing{frames: []transport.Frame{frame}})
	}
}

func (ps *peers) stop(ctx actor.Context) {
	for _, id := range slices.Sorted(maps.Keys(ps.actors)) {
		ctx.Stop(ps.actors[id].pid)
	}
	clear(ps.actors)
}

// send hands messages to the peers. Those for a member that is not known (any more) are
// lost, as on any network.
func (ps *peers) send(ctx actor.Context, work *raftnode.Work) {
	if len(work.Messages) == 0 && len(work.Forwards) == 0 && len(work.Rejects) == 0 {
		return
	}
	out := make(map[uint64]*outgoing)
	to := func(id uint64) *outgoing {
		if out[id] == nil {
			out[id] = &outgoing{time: work.Time}
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
	for _, id := range slices.Sorted(maps.Keys(out)) {
		o := out[id]
		if p, ok := ps.actors[id]; ok {
			ctx.Send(p.pid, o)
			continue
		}
		for _, m := range o.messages {
			if m.GetType() == raftpb.MsgSnap {
				ctx.Send(ctx.Self(), &snapshotSent{member: id})
			}
		}
		for _, f := range o.frames {
			if f.Kind == transport.KindForward {
				ctx.Send(ctx.Self(), &undelivered{payload: f.Payload})
			}
		}
	}
}
