package actors

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/transport"
)

// fakeNetwork has one stream of each class, whose queues have room or do not.
type fakeNetwork map[transport.Class]*fakeStream

type fakeStream struct {
	events transport.Events
	full   bool
	sent   []transport.Frame
}

func (n fakeNetwork) Stream(_ uint64, _ string, class transport.Class, _ int, events transport.Events) Stream {
	n[class].events = events
	return n[class]
}

func (n fakeNetwork) Snapshot(context.Context, uint64, string, []byte, func() (io.ReadCloser, int64, error), func(int64, error)) {
}

func (n fakeNetwork) Ask(context.Context, string, string, func(transport.Presence, error)) {}

func (s *fakeStream) Send(f transport.Frame) bool {
	if !s.full {
		s.sent = append(s.sent, f)
	}
	return !s.full
}

func (s *fakeStream) SetAddr(string)         {}
func (s *fakeStream) Stats() transport.Stats { return transport.Stats{} }
func (s *fakeStream) Close()                 {}

const at7 = "192.0.2.7:7001"

// knowing7 knows where member 7 is.
func knowing7() *Inbox {
	in := &Inbox{}
	in.setAddressBook(&addressBook{places: map[uint64]memberAddrs{7: {stated: at7}}}, nil)
	return in
}

// If the queue for a member is full, a proposal comes back, and a rejection goes over the other
// stream; the core hears of every new connection that carries proposals.
func TestFullPeerQueues(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	raft := newProbe(t, system)
	network := fakeNetwork{transport.Control: {}, transport.Bulk: {full: true}}
	peer := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &peerActor{member: 7, network: network, links: &links{}, raft: raft.pid, inbox: knowing7(), log: slog.New(slog.DiscardHandler)}
	}))
	reject := transport.Frame{Kind: transport.KindReject, Payload: []byte("no")}
	system.Root.Send(peer, &outgoing{frames: []transport.Frame{reject, {Kind: transport.KindForward, Payload: []byte("do")}}})
	if m := next[*undelivered](raft); string(m.payload) != "do" {
		t.Errorf("%q comes back", m.payload)
	}
	network[transport.Bulk].events.Up()
	next[*welcomed](raft)
	if m := next[*reconnected](raft); m.member != 7 {
		t.Errorf("%+v", m)
	}
	network[transport.Control].events.Up()
	next[*welcomed](raft)
	if err := system.Root.StopFuture(peer).Wait(); err != nil {
		t.Fatal(err)
	}
	raft.silent()
	if sent := network[transport.Control].sent; len(sent) != 1 || string(sent[0].Payload) != "no" {
		t.Errorf("the other stream has sent %v", sent)
	}
}

// A rejection that finds no room is retried with the next messages: the member does not ask
// for it again as long as the connection lasts.
func TestRejectionWaitsForRoom(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	raft := newProbe(t, system)
	network := fakeNetwork{transport.Control: {full: true}, transport.Bulk: {full: true}}
	peer := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &peerActor{member: 7, network: network, links: &links{}, raft: raft.pid, inbox: knowing7(), log: slog.New(slog.DiscardHandler)}
	}))
	reject := transport.Frame{Kind: transport.KindReject, Payload: []byte("no")}
	forward := transport.Frame{Kind: transport.KindForward, Payload: []byte("do")}
	for range maxRejects + 1 {
		system.Root.Send(peer, &outgoing{frames: []transport.Frame{reject}})
	}
	system.Root.Send(peer, &outgoing{frames: []transport.Frame{forward}})
	next[*undelivered](raft) // all of that was handled
	network[transport.Control].full = false
	system.Root.Send(peer, &outgoing{frames: []transport.Frame{reject, forward}})
	next[*undelivered](raft)
	if err := system.Root.StopFuture(peer).Wait(); err != nil {
		t.Fatal(err)
	}
	if sent := len(network[transport.Control].sent); sent != maxRejects+1 {
		t.Errorf("%d rejections are sent, want the %d that could wait, and one", sent, maxRejects)
	}
}

// What a refusal by another machine means for this one, by its status and its address.
func TestRefusals(t *testing.T) {
	system := actor.NewActorSystem()
	defer system.Shutdown()
	raft := newProbe(t, system)
	network := fakeNetwork{transport.Control: {}, transport.Bulk: {full: true}}
	peer := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &peerActor{member: 7, network: network, links: &links{}, raft: raft.pid, inbox: knowing7(), log: slog.New(slog.DiscardHandler)}
	}))
	system.Root.Send(peer, &outgoing{frames: []transport.Frame{{Kind: transport.KindForward}}}) // it has started when this comes back
	next[*undelivered](raft)
	refused := network[transport.Control].events.Refused
	for _, status := range []int{statusRival, transport.StatusRefounded, statusBehind, statusGone} {
		refused("198.51.100.1:7001", status, "a stranger in the place of the member") // and no more than that
		next[*unreachable](raft)
	}
	refused(at7, statusRival, "another process")
	if m := next[*contested](raft); m.member != 7 {
		t.Errorf("%+v", m)
	}
	refused(at7, http.StatusPreconditionFailed, "another machine listens there")
	if m := next[*unreachable](raft); m.member != 7 {
		t.Errorf("%+v", m)
	}
	refused(at7, transport.StatusRefounded, "a cluster of its own")
	if m := next[*unreachable](raft); m.member != 7 {
		t.Errorf("%+v", m)
	}
	if m := next[*refounded](raft); m.member != 7 {
		t.Errorf("%+v", m)
	}
	refused(at7, statusBehind, "less")
	if m := next[*expelled](raft); m.departure != (Departure{Reason: "less", Lost: true}) {
		t.Errorf("%+v", m)
	}
	refused(at7, statusGone, "removed")
	if m := next[*expelled](raft); m.departure != (Departure{Reason: "removed", Removed: true}) {
		t.Errorf("%+v", m)
	}
	if err := system.Root.StopFuture(peer).Wait(); err != nil {
		t.Fatal(err)
	}
	raft.silent()
}
