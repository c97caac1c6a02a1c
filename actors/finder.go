package actors

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/transport"
)

// maxFindPause bounds the pause between two searches, in election timeouts.
const maxFindPause = 30

// finderActor looks for members that are not where the state of this machine says: all
// machines of a cluster may have been moved at once. It asks the machines of -C, and members
// that this machine has heard of, who they are and whom they know where, then those that it
// learns of so, one after the other; and again after a pause, as long as there is a member
// that this machine has not heard of from itself.
// An address is an address and no more: that a member is there counts only when the
// machine there says so, and the handshake of a stream looks at it again.
type finderActor struct {
	self      uint64
	hints     []string // addresses, host:port
	network   Network
	pause     time.Duration // the shortest between two searches
	afterFunc func(d time.Duration, f func()) Timer
	log       *slog.Logger

	to      *pids
	places  []transport.Place // of members this machine has heard of from themselves
	missing []uint64          // the other members
	queue   []string          // to be asked in this search
	asked   map[string]bool   // in this search
	faults  map[string]string // what was said of an address
	busy    bool              // a search is under way
	timer   Timer             // until the next one; nil: none waits
	next    time.Duration     // the pause after this one
	ctx     context.Context   // ends with the actor
	stop    context.CancelFunc
}

func (f *finderActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		f.ctx, f.stop = context.WithCancel(context.Background())
		f.next, f.faults = f.pause, make(map[string]string)
	case *pids:
		f.to = m
	case *whereabouts:
		if !slices.Equal(f.missing, m.missing) {
			f.next = f.pause
		}
		f.places, f.missing = m.places, m.missing
		if f.timer == nil && !f.busy {
			f.search(ctx)
		}
	case findDue:
		f.timer = nil
		f.search(ctx)
	case *present:
		f.heard(ctx, m)
	case *actor.Stopping:
		f.stop()
		if f.timer != nil {
			f.timer.Stop()
		}
	}
}

func (f *finderActor) search(ctx actor.Context) {
	if len(f.hints)+len(f.places) == 0 || len(f.missing) == 0 {
		return
	}
	f.busy = true
	f.queue, f.asked = slices.Clone(f.hints), make(map[string]bool)
	for _, p := range f.places {
		f.queue = append(f.queue, p.Addr)
	}
	f.ask(ctx)
}

// ask asks the next one, or ends the search.
func (f *finderActor) ask(ctx actor.Context) {
	for len(f.queue) > 0 && len(f.missing) > 0 && len(f.asked) < maxPeers {
		addr := f.queue[0]
		f.queue = f.queue[1:]
		if f.asked[addr] {
			continue
		}
		f.asked[addr] = true
		root, self := ctx.ActorSystem().Root, ctx.Self()
		f.network.Ask(f.ctx, addr, func(p transport.Presence, err error) {
			root.Send(self, &present{addr: addr, presence: p, err: err})
		})
		return
	}
	f.busy = false
	root, self := ctx.ActorSystem().Root, ctx.Self()
	f.timer = f.afterFunc(f.next, func() { root.Send(self, findDue{}) })
	f.next = min(2*f.next, maxFindPause*f.pause)
}

func (f *finderActor) heard(ctx actor.Context, m *present) {
	switch {
	case m.err != nil:
		f.complain(m.addr, m.err.Error())
	case m.presence.Member == f.self:
		f.complain(m.addr, "this is the machine itself; name another one")
	default:
		f.faults[m.addr] = ""
		// One that this machine has heard of from itself is where it has said: what
		// answers at another address may be a copy of it.
		at := func(p transport.Place) bool { return p.Member == m.presence.Member }
		if !slices.ContainsFunc(f.places, at) {
			f.log.Info("found a member", "member", MemberID(m.presence.Member), "addr", m.addr)
			ctx.Send(f.to.raft, &located{member: m.presence.Member, addr: m.addr})
		}
		for _, other := range m.presence.Others {
			if slices.Contains(f.missing, other.Member) {
				f.queue = append(f.queue, other.Addr)
			}
		}
	}
	f.ask(ctx)
}

// complain says once what is wrong with an address that somebody has given.
func (f *finderActor) complain(addr, fault string) {
	if slices.Contains(f.hints, addr) && f.faults[addr] != fault {
		f.faults[addr] = fault
		f.log.Warn("-C names an address at which no other member was found; it is asked again", "addr", addr, "reason", fault)
	}
}
