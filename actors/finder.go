package actors

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/transport"
)

const (
	// maxFindPause bounds the pause between two searches, in election timeouts.
	maxFindPause = 30
	// maxStrangers bounds the unknown machines that are looked for because they claim to be
	// members.
	maxStrangers = 16
	// searchesPerTimeout is how many searches for strangers there may be in an election timeout.
	searchesPerTimeout = 4
	// searchesUntilWarning is how many searches for a stranger fail until that is logged: a
	// member that has just joined is not known everywhere at once.
	searchesUntilWarning = 5
)

// FoundStranger is logged when this machine learns of a member that it did not know.
const FoundStranger = "found a member that this machine did not know: a known one has named it"

// finderActor looks for members that are not at the address in the state of this machine: all
// machines of a cluster may have been moved at once. It asks the machines of -C, and members
// that have told their address, who they are and which members they know at which addresses,
// then the machines at the addresses that it learns in this way, one after the other. It
// retries after a pause, as long as there is a member that has not told its address itself.
//
// It also looks for strangers: machines that claim to be members and that this machine does not
// know, because its state may be behind. It asks others about them, and does not dial them,
// unless a machine at -C or at the address of a member knows their address.
//
// An address proves nothing: that a member is there counts only when the machine there says
// so, and the handshake of a stream verifies it again.
type finderActor struct {
	self      uint64
	hints     []string // addresses, host:port
	network   Network
	pause     time.Duration // the shortest between two searches
	afterFunc func(d time.Duration, f func()) Timer
	log       *slog.Logger

	to      *pids
	places  []transport.Place // of members that have told their address
	missing []transport.Place // where the other members should be
	// strangers are for the next search, which drops them when it ends.
	strangers      []uint64
	searched       []uint64          // the strangers of this search
	failedSearches map[uint64]int    // searches in which a stranger was not found
	told           bool              // whereabouts have come
	queue          []hint            // yet to be asked in this search
	asked          map[string]bool   // in this search
	loggedFaults   map[string]string // what was logged, by address
	busy           bool              // a search is under way
	timer          Timer             // until the next search; nil: there is none
	next           time.Duration     // the pause after that search
	ctx            context.Context   // ends with the actor
	stop           context.CancelFunc
}

// hint is an address to ask. It is told if its source has nothing but its own word for being
// where it is: a member is found there, and no more believed than that.
type hint struct {
	addr string
	told bool
}

func (f *finderActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		f.ctx, f.stop = context.WithCancel(context.Background())
		f.next, f.loggedFaults = f.pause, make(map[string]string)
	case *pids:
		f.to = m
	case *whereabouts:
		f.told = true
		if !slices.Equal(f.missing, m.missing) {
			f.next = f.pause
		}
		f.places, f.missing = m.places, m.missing
		if f.timer == nil && !f.busy {
			f.search(ctx)
		}
	case *strangerDialled:
		f.addStranger(ctx, m.member)
	case findDue:
		f.timer = nil
		f.search(ctx)
	case *present:
		f.answered(ctx, m)
	case *actor.Stopping:
		f.stop()
		if f.timer != nil {
			f.timer.Stop()
		}
	}
}

// addStranger adds a stranger to the next search. However many there are, and however often
// they retry, searches follow each other no faster than needed for a member that was down.
func (f *finderActor) addStranger(ctx actor.Context, stranger uint64) {
	if !f.told || len(f.strangers) >= maxStrangers || slices.Contains(f.strangers, stranger) {
		return
	}
	f.strangers = append(f.strangers, stranger)
	switch {
	case f.busy || len(f.strangers) > 1:
	case f.timer == nil:
		f.search(ctx)
	default:
		f.next = f.pause
		f.timer.Reset(f.pause / searchesPerTimeout)
	}
}

func (f *finderActor) search(ctx actor.Context) {
	f.searched, f.strangers = f.strangers, nil
	if len(f.searched) == 0 && (len(f.hints)+len(f.places) == 0 || len(f.missing) == 0) {
		return
	}
	f.busy = true
	f.queue, f.asked = nil, make(map[string]bool)
	for _, addr := range f.hints {
		f.queue = append(f.queue, hint{addr: addr})
	}
	for _, p := range f.places {
		f.queue = append(f.queue, hint{p.Addr, p.Told})
	}
	if len(f.searched) > 0 { // where a former member was there may be a new one
		for _, p := range f.missing {
			f.queue = append(f.queue, hint{p.Addr, p.Told})
		}
	}
	f.ask(ctx)
}

// ask asks the next address, or ends the search.
func (f *finderActor) ask(ctx actor.Context) {
	for len(f.queue) > 0 && len(f.missing)+len(f.searched) > 0 && len(f.asked) < maxPeers {
		next := f.queue[0]
		f.queue = f.queue[1:]
		if f.asked[next.addr] {
			continue
		}
		f.asked[next.addr] = true
		root, self := ctx.ActorSystem().Root, ctx.Self()
		f.network.Ask(f.ctx, next.addr, "", func(p transport.Presence, err error) {
			root.Send(self, &present{hint: next, presence: p, err: err})
		})
		return
	}
	f.busy = false
	f.dropStrangers()
	pause := f.next
	if f.next = min(2*f.next, maxFindPause*f.pause); len(f.strangers) > 0 {
		pause = f.pause / searchesPerTimeout
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	f.timer = f.afterFunc(pause, func() { root.Send(self, findDue{}) })
}

// dropStrangers drops the strangers that were not found, until they dial again. One that keeps
// dialling is logged: it may be a member that no machine asked here can know.
func (f *finderActor) dropStrangers() {
	for _, stranger := range f.searched {
		if len(f.failedSearches) >= maxStrangers || f.failedSearches == nil {
			f.failedSearches = make(map[uint64]int)
		}
		if f.failedSearches[stranger]++; f.failedSearches[stranger] != searchesUntilWarning {
			continue
		}
		f.log.Warn("a machine claims to be a member of the cluster, but neither this machine nor any that it can ask knows it: "+
			"it is refused. If it is a member, this machine has been down for too long, or its data is an old copy: start it "+
			"with -C and the peer address of a member", "member", MemberID(stranger))
	}
	f.searched = nil
}

func (f *finderActor) answered(ctx actor.Context, m *present) {
	switch {
	case m.err != nil:
		f.logFault(m.addr, m.err.Error())
	case m.presence.Member == f.self:
		f.logFault(m.addr, "this is the machine itself; name another one")
	default:
		f.loggedFaults[m.addr] = ""
		// A member that has told its address is there: what answers at another one may be a
		// copy of it.
		at := func(p transport.Place) bool { return p.Member == m.presence.Member }
		if !slices.ContainsFunc(f.places, at) {
			message := "found a member"
			if slices.Contains(f.searched, m.presence.Member) {
				message = FoundStranger
			}
			f.log.Info(message, "member", MemberID(m.presence.Member), "addr", m.addr)
			ctx.Send(f.to.raft, &located{member: m.presence.Member, addr: m.addr, vouched: true, told: m.told})
		}
		f.searched = slices.DeleteFunc(f.searched, func(id uint64) bool { return id == m.presence.Member })
		for _, other := range m.presence.Others {
			missing := func(p transport.Place) bool { return p.Member == other.Member }
			if slices.Contains(f.searched, other.Member) || slices.ContainsFunc(f.missing, missing) {
				f.queue = append(f.queue, hint{other.Addr, m.told || other.Told})
			}
		}
	}
	f.ask(ctx)
}

// logFault logs once what is wrong with an address of -C.
func (f *finderActor) logFault(addr, fault string) {
	if slices.Contains(f.hints, addr) && f.loggedFaults[addr] != fault {
		f.loggedFaults[addr] = fault
		f.log.Warn("-C names an address at which no other member was found; retrying", "addr", addr, "reason", fault)
	}
}
