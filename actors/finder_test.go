package actors

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/transport"
)

// answering is a network in which these machines say who they are, and no other answers.
type answering struct {
	fakeNetwork
	at    map[string]transport.Presence
	asked chan string
}

func (n answering) Ask(_ context.Context, addr, _ string, done func(transport.Presence, error)) {
	n.asked <- addr
	p, ok := n.at[addr]
	if !ok {
		done(p, errors.New("connection refused"))
		return
	}
	done(p, nil)
}

// waiting is a timer that fires when the test says so.
type waiting struct {
	fire chan func()
	d    chan time.Duration
}

func (w *waiting) after(d time.Duration, f func()) Timer {
	w.d <- d
	w.fire <- f
	return w
}

func (w *waiting) Reset(d time.Duration) bool {
	w.d <- d
	return true
}

func (w *waiting) Stop() bool { return true }

// An unknown machine is looked for at the addresses of known members, and found only if one of
// them names it. Any other is neither dialled nor remembered, and does not make searches more
// frequent.
func TestStrangerSearch(t *testing.T) {
	const member, stranger, poser = 22, 66, 99
	const at66 = "192.0.2.66:7001"
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	raft := newProbe(t, system)
	network := answering{asked: make(chan string, 1000), at: map[string]transport.Presence{
		at22: {Member: member, Others: []transport.Place{{Member: stranger, Addr: at66}}},
		at66: {Member: stranger},
	}}
	timer := &waiting{fire: make(chan func(), 1000), d: make(chan time.Duration, 1000)}
	finder := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &finderActor{self: 11, network: network, pause: time.Second, afterFunc: timer.after, log: slog.New(slog.DiscardHandler)}
	}))
	system.Root.Send(finder, &pids{raft: raft.pid})
	system.Root.Send(finder, &whereabouts{places: []transport.Place{{Member: member, Addr: at22}}})
	system.Root.Send(finder, &strangerDialled{member: stranger})
	if m := next[*located](raft); *m != (located{member: stranger, addr: at66, vouched: true}) {
		t.Errorf("found %+v", m)
	}
	first := <-timer.fire
	if d := <-timer.d; d != time.Second {
		t.Errorf("the next search comes after %v", d)
	}
	for id := range uint64(10_000) {
		system.Root.Send(finder, &strangerDialled{member: poser + id})
	}
	if d := <-timer.d; d != time.Second/searchesPerTimeout {
		t.Errorf("the search for strangers comes after %v", d)
	}
	for len(network.asked) > 0 {
		<-network.asked
	}
	first()
	<-timer.fire
	<-timer.d
	if asked := len(network.asked); asked != 1 || <-network.asked != at22 {
		t.Errorf("%d addresses were asked for strangers", asked)
	}
	if err := system.Root.StopFuture(finder).Wait(); err != nil {
		t.Fatal(err)
	}
	if len(timer.d) > 0 {
		t.Error("strangers have hurried it more than once")
	}
	raft.silent()
}

// A stranger in the place of a member, whose address rests on nothing but its own word, is not
// trusted: what it says of others, or of itself, is found, and believed no more than that.
func TestAddressesFromUntrustedSources(t *testing.T) {
	const member, other, third = 22, 66, 77
	const at66, at77 = "192.0.2.66:7001", "192.0.2.77:7001"
	for _, c := range []struct {
		name   string
		places []transport.Place // of members that have told their address
		at     map[string]transport.Presence
		want   located
	}{
		{"a trusted member names one that it knows", []transport.Place{{Member: member, Addr: at22}},
			map[string]transport.Presence{at22: {Member: member, Others: []transport.Place{{Member: other, Addr: at66}}}, at66: {Member: other}},
			located{member: other, addr: at66, vouched: true}},
		{"a trusted member names one that was named to it", []transport.Place{{Member: member, Addr: at22}},
			map[string]transport.Presence{at22: {Member: member, Others: []transport.Place{{Member: other, Addr: at66, Told: true}}}, at66: {Member: other}},
			located{member: other, addr: at66, vouched: true, told: true}},
		{"a stranger names another member", []transport.Place{{Member: member, Addr: stranger22, Told: true}},
			map[string]transport.Presence{stranger22: {Member: member, Others: []transport.Place{{Member: other, Addr: at66}}}, at66: {Member: other}},
			located{member: other, addr: at66, vouched: true, told: true}},
		{"a stranger claims to be another member", []transport.Place{{Member: member, Addr: stranger22, Told: true}},
			map[string]transport.Presence{stranger22: {Member: other}},
			located{member: other, addr: stranger22, vouched: true, told: true}},
		{"a stranger names a machine that names a member", []transport.Place{{Member: member, Addr: stranger22, Told: true}, {Member: third, Addr: at77}},
			map[string]transport.Presence{
				stranger22: {Member: member, Others: []transport.Place{{Member: other, Addr: at66}}}, at66: {Member: third, Others: []transport.Place{{Member: other, Addr: at55}}},
				at55: {Member: other},
			},
			located{member: other, addr: at55, vouched: true, told: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			system := newSystem(slog.New(slog.DiscardHandler))
			defer system.Shutdown()
			raft := newProbe(t, system)
			timer := &waiting{fire: make(chan func(), 1000), d: make(chan time.Duration, 1000)}
			network := answering{asked: make(chan string, 1000), at: c.at}
			finder := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
				return &finderActor{self: 11, network: network, pause: time.Second, afterFunc: timer.after, log: slog.New(slog.DiscardHandler)}
			}))
			system.Root.Send(finder, &pids{raft: raft.pid})
			system.Root.Send(finder, &whereabouts{places: c.places, missing: []transport.Place{{Member: other, Addr: "192.0.2.6:7001"}}})
			if m := next[*located](raft); *m != c.want {
				t.Errorf("found %+v, want %+v", m, c.want)
			}
			if err := system.Root.StopFuture(finder).Wait(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
