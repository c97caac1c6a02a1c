package sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
)

// siege is one machine among attackers, who send it whatever they like, in the name of a
// member if need be. The machine cannot be expected to reach agreement with liars. But
// whatever they send, it must not end, unless it is told explicitly that it does not belong
// to the cluster any more, and it must be able to start from what it has on disk.
type siege struct {
	*Sim
	m *machine

	// As last observed; attackers like to be close to the truth.
	term, last uint64
	departed   *actors.Departure
	lastError  string
	ticking    uint64 // makes written values distinct
}

var errNoAnswer = errors.New("no answer")

// liar is the member in whose name the attackers speak. It has joined as a learner.
var liar = store.Member{ID: 0x1a2b3c4d5e6f7788, Name: "liar", PeerURL: "http://liar:7001", ClientURL: "http://liar:4001"}

// besiege starts a machine that founds a cluster, and lets the liar join.
func besiege(seed uint64, trace io.Writer) *siege {
	stream := func(n uint64) *mathrand.Rand { return mathrand.New(mathrand.NewPCG(seed, n)) }
	s := &Sim{
		scheduler: newScheduler(stream(1)), identity: stream(3), workload: stream(4), diskTimes: stream(5),
		shape: shape{
			machines: 1, sync: 50 * time.Microsecond, history: 20, snapshotEntries: 50, segment: 16 << 10,
			weather: weather{delay: 200 * time.Microsecond},
		},
		counts: make(map[string]int),
	}
	s.trace = newTrace(trace)
	s.network = wires{sim: s, rnd: stream(6), cut: make(map[[2]int]int), weather: s.shape.weather}
	s.operator = newOperator(s)
	g := &siege{Sim: s}
	s.judge = g
	g.m = s.newMachine()
	g.m.member = true
	g.start()
	s.founded = g.m.life.machine.ClusterID
	g.ask(func(l *life, id uint64, replyTo *actor.PID) (*actor.PID, any) {
		return l.machine.Raft, &actors.Join{ID: id, ReplyTo: replyTo, Member: liar}
	})
	return g
}

// observe implements [judge].
func (g *siege) observe(_ *life, _ string, message any) {
	switch m := message.(type) {
	case *raftnode.Leader:
		g.term = max(g.term, m.Term)
	case *raftnode.Append:
		if m.Snapshot != nil {
			g.last = m.Snapshot.GetIndex()
		}
		if n := len(m.Entries); n > 0 {
			g.last = m.Entries[n-1].GetIndex()
		}
		if m.HardState != nil {
			g.term = m.HardState.GetTerm()
		}
	}
}

// logged implements [judge]. Errors are allowed: what liars say may be logged as one.
func (g *siege) logged(_ *life, r slog.Record) {
	if r.Level >= slog.LevelError {
		g.lastError = text(r)
	}
}

// starts implements [judge].
func (g *siege) starts(*life) {}

// remembers implements [judge].
func (g *siege) remembers(*machine, *raftpb.HardState) {}

// up reports whether the machine runs.
func (g *siege) up() bool { return g.m.life != nil && g.m.life.machine != nil }

// pass lets time pass, and fails the run if the machine has ended without a reason.
func (g *siege) pass(d time.Duration) {
	g.run(g.now+d, g.failed)
	switch l := g.m.life; {
	case g.failed():
	case l == nil && g.departed == nil:
		g.fail("the machine has ended: %s", g.lastError)
	case l != nil && l.machine != nil:
		select {
		case d := <-l.machine.Gone:
			g.departed = &d
		default:
		}
	}
}

// start starts a process, and waits until it is ready, for 10 s at most.
func (g *siege) start() {
	g.m.start(g.establish)
	for range 200 {
		if g.pass(50 * time.Millisecond); g.failed() || g.m.life == nil || g.m.life.ready() {
			return
		}
	}
}

// restart ends the process, by a power cut or a kill, and starts it again.
func (g *siege) restart(powerCut bool) {
	if powerCut {
		g.m.cutPower(g.workload)
	} else {
		g.m.kill()
	}
	g.departed = nil
	g.start()
}

// ask sends a request to the machine and returns its answer; nil if none came within 10 s.
func (g *siege) ask(request func(l *life, id uint64, replyTo *actor.PID) (to *actor.PID, message any)) (reply any) {
	l := g.m.life
	if l == nil || l.session == nil {
		return nil
	}
	answered := false
	g.lastCall++
	to, message := request(l, g.lastCall, l.session.pid)
	l.session.calls[g.lastCall] = &call{answered: func(r any) { reply, answered = r, true }}
	l.machine.System.Root.Send(to, message)
	for range 100 {
		if g.pass(100 * time.Millisecond); answered || g.failed() || g.m.life != l {
			break
		}
	}
	return reply
}

// write sets a key; nil means that the machine has acknowledged it.
func (g *siege) write() error {
	g.ticking++
	command := store.Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{
		Path: "/key", Value: fmt.Append(nil, g.ticking),
	}}})
	reply, _ := g.ask(func(l *life, id uint64, replyTo *actor.PID) (*actor.PID, any) {
		return l.machine.Raft, &actors.Propose{ID: id, ReplyTo: replyTo, Command: command}
	}).(*actors.Proposed)
	if reply == nil {
		return errNoAnswer
	}
	return reply.Err
}

// alone reports whether the machine can serve without peers: it is the only voter.
func (g *siege) alone() bool {
	status, _ := g.ask(func(l *life, id uint64, replyTo *actor.PID) (*actor.PID, any) {
		return l.machine.Raft, &actors.Status{ID: id, ReplyTo: replyTo}
	}).(*actors.StatusReply)
	return status != nil && slices.Equal(status.Raft.Voters, []uint64{g.m.memberID})
}

// withstood judges the machine at the end: it runs, restarts, and serves if it can alone.
func (g *siege) withstood() error {
	g.pass(3 * time.Second)
	if g.departed == nil && !g.failed() && g.alone() {
		if err := g.write(); err != nil {
			g.fail("the machine fails a write: %w", err)
		}
	}
	for _, powerCut := range []bool{false, true} {
		if g.failed() {
			break
		}
		g.restart(powerCut)
		if !g.failed() && g.departed == nil && g.alone() {
			if err := g.write(); err != nil {
				g.fail("the machine fails a write after a restart: %w", err)
			}
		}
	}
	g.end()
	return g.failure
}
