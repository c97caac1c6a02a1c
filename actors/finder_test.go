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

// answering is a network in which machines say who they are; nobody else answers.
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

// waiting is a timer that goes off when the test says so.
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

// A machine that is not known is looked for at the addresses of those that are, and found only
// if one of them has named it. Whoever else comes is neither dialled nor remembered, and does
// not make the searches follow each other more quickly.
func TestLookingForAStranger(t *testing.T) {
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
	system.Root.Send(finder, &knocked{member: stranger})
	if m := next[*located](raft); *m != (located{member: stranger, addr: at66, vouched: true}) {
		t.Errorf("found %+v", m)
	}
	first := <-timer.fire
	if d := <-timer.d; d != time.Second {
		t.Errorf("the next search comes after %v", d)
	}
	for id := range uint64(10_000) {
		system.Root.Send(finder, &knocked{member: poser + id})
	}
	if d := <-timer.d; d != time.Second/knockPauses {
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
