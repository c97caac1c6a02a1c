package actors

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/transport"
	"etcd/wal"
)

// Bounds of the send queues of one member. Beyond them messages are dropped, and Raft
// resends them.
const (
	controlQueueBytes = 4 << 20
	bulkQueueBytes    = 64 << 20
	// maxRejects bounds the rejections that wait for room in the queues.
	maxRejects = 1024
)

// peerActor sends to one other member: messages in two streams, so that heartbeats
// and votes never wait behind bulk, and snapshots in requests of their own.
type peerActor struct {
	member    uint64
	addr      string
	network   Network
	links     *links
	snapshots *wal.Snapshots
	raft      *actor.PID
	inbox     *Inbox
	pause     time.Duration // before a failed snapshot is resent
	afterFunc func(time.Duration, func()) Timer
	log       *slog.Logger

	control, bulk Stream
	rejects       []transport.Frame  // waiting for room in the queues
	stop          context.CancelFunc // ends a snapshot under way
	ctx           context.Context
	sending       bool
	failed        bool  // the last snapshot did not arrive
	resend        Timer // until the failed snapshot may be resent
}

// RefusedFromElsewhere is logged when a machine refuses this one from an address at which its
// member is not believed to be: it may be no member at all, so this machine goes on.
const RefusedFromElsewhere = "a machine that is not at the address of its member refuses this machine; retrying"

// MemberID formats an ID as users see it: 16 hex digits.
func MemberID(id uint64) string { return fmt.Sprintf("%016x", id) }

func (p *peerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.start(ctx)
	case *outgoing:
		p.retryRejects()
		for _, message := range m.messages {
			p.send(ctx, raftnode.Message{Message: message, Time: m.time})
		}
		for _, frame := range m.frames {
			p.sendFrame(ctx, frame)
		}
	case *moved:
		p.addr = m.addr
		p.control.SetAddr(m.addr)
		p.bulk.SetAddr(m.addr)
	case *snapshotSent:
		if p.failed = !m.ok; p.failed {
			// Raft would resend it at once, whatever the peer objects to.
			root, self := ctx.ActorSystem().Root, ctx.Self()
			p.resend = p.afterFunc(p.pause, func() { root.Send(self, resendDue{}) })
			return
		}
		p.snapshotOver(ctx)
	case resendDue:
		p.snapshotOver(ctx)
	case *actor.Stopping:
		p.stop()
		if p.resend != nil {
			p.resend.Stop()
		}
		p.control.Close()
		p.bulk.Close()
		p.links.remove(p.member)
	}
}

func (p *peerActor) start(ctx actor.Context) {
	p.ctx, p.stop = context.WithCancel(context.Background())
	root := ctx.ActorSystem().Root
	events := func(class transport.Class) transport.Events {
		level := slog.LevelWarn // of the first report; those that follow repeat it
		waits := 0              // refusals of a peer that cannot tell yet who this process is
		return transport.Events{
			Meet: p.inbox.Meet,
			Up: func() {
				level, waits = slog.LevelWarn, 0
				root.Send(p.raft, &welcomed{member: p.member})
				p.log.Info("connected to a member", "member", MemberID(p.member), "stream", class)
				if class == transport.Bulk {
					root.Send(p.raft, &reconnected{member: p.member})
				}
			},
			Down: func(err error) {
				p.log.Log(p.ctx, level, "no connection to a member; retrying", "member", MemberID(p.member), "stream", class, "error", err)
				level = slog.LevelDebug
				root.Send(p.raft, &unreachable{member: p.member})
			},
			Gone: func() { root.Send(p.raft, &gone{member: p.member}) },
			Refused: func(addr string, status int, message string) {
				if status != statusUnproven && !p.inbox.trusts(p.member, addr) {
					// A process that only claims to be the member must not end this machine.
					root.Send(p.raft, &unreachable{member: p.member})
					p.log.Log(p.ctx, level, RefusedFromElsewhere,
						"member", MemberID(p.member), "addr", addr, "status", status, "reason", message)
					level = slog.LevelDebug
					return
				}
				if d, final := departure(status, message); final {
					root.Send(p.raft, &expelled{departure: d})
					return
				}
				if status == transport.StatusRefounded {
					root.Send(p.raft, &unreachable{member: p.member})
					root.Send(p.raft, &refounded{member: p.member})
					return
				}
				if status != statusRival {
					root.Send(p.raft, &unreachable{member: p.member})
				} else {
					root.Send(p.raft, &contested{member: p.member})
				}
				if status == statusRival || status == statusUnproven {
					if waits++; waits == 1 {
						return // most likely it has not noticed yet that this process has started
					}
				}
				p.log.Log(p.ctx, level, "a member refuses this machine; retrying", "member", MemberID(p.member), "status", status, "reason", message)
				level = slog.LevelDebug
			},
		}
	}
	link := newLink(p.member)
	control := events(transport.Control) // bulk ahead of a ping is no part of the round trip
	control.RoundTrip = func(took time.Duration) { link.roundTrip.Observe(took.Seconds()) }
	p.control = p.network.Stream(p.member, p.addr, transport.Control, controlQueueBytes, control)
	p.bulk = p.network.Stream(p.member, p.addr, transport.Bulk, bulkQueueBytes, events(transport.Bulk))
	link.control, link.bulk = p.control, p.bulk
	p.links.add(p.member, link)
}

func (p *peerActor) sendFrame(ctx actor.Context, frame transport.Frame) {
	if frame.Kind == transport.KindReach {
		p.control.Send(frame) // if that fails, the next handshake carries it
		return
	}
	switch sent := p.bulk.Send(frame); {
	case sent:
	case frame.Kind == transport.KindForward:
		ctx.Send(p.raft, &undelivered{payload: frame.Payload})
	case frame.Kind == transport.KindReject && !p.control.Send(frame) && len(p.rejects) < maxRejects:
		p.rejects = append(p.rejects, frame)
	}
}

// retryRejects resends the rejections that found no room: a member asks again for the outcome
// of its proposals only on a new connection. A leader has a message for every member at every
// heartbeat, so there is always a next attempt.
func (p *peerActor) retryRejects() {
	waiting := p.rejects
	p.rejects = nil
	for i, frame := range waiting {
		if !p.bulk.Send(frame) && !p.control.Send(frame) {
			p.rejects = waiting[i:]
			return
		}
	}
}

func (p *peerActor) send(ctx actor.Context, m raftnode.Message) {
	if m.GetType() == raftpb.MsgSnap {
		p.sendSnapshot(ctx, m.Message)
		return
	}
	payload, err := m.Encode()
	if err != nil {
		panic(err)
	}
	first, second := p.control, p.bulk // one may be up while the other is not
	if m.GetType() == raftpb.MsgApp {
		first, second = p.bulk, nil
	}
	frame := transport.Frame{Kind: transport.KindRaft, Payload: payload}
	if !first.Send(frame) && (second == nil || !second.Send(frame)) {
		ctx.Send(p.raft, &unreachable{member: p.member})
	}
}

// snapshotOver tells Raft whether the snapshot has arrived.
func (p *peerActor) snapshotOver(ctx actor.Context) {
	p.sending = false
	ctx.Send(p.raft, &snapshotSent{member: p.member, ok: !p.failed})
}

// sendSnapshot sends the snapshot that m announces. There is one in flight at a time, because
// Raft waits for its outcome.
func (p *peerActor) sendSnapshot(ctx actor.Context, m *raftpb.Message) {
	if p.sending {
		return
	}
	payload, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	p.sending = true
	level := slog.LevelWarn
	if p.failed {
		level = slog.LevelDebug // it was logged already
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	start, meta := time.Now(), m.GetSnapshot().GetMetadata()
	open := func() (io.ReadCloser, int64, error) { return p.snapshots.Open(meta.GetIndex(), meta.GetTerm()) }
	p.network.Snapshot(p.ctx, p.member, p.addr, payload, open, func(size int64, err error) {
		if err != nil {
			p.log.Log(context.Background(), level, "a snapshot could not be sent; retrying", "member", MemberID(p.member), "index", meta.GetIndex(), "bytes", size, "error", err)
		} else {
			took := time.Since(start)
			p.log.Info("sent a snapshot", "member", MemberID(p.member), "index", meta.GetIndex(), "bytes", size, "took", took,
				"bytesPerSecond", int64(float64(size)/took.Seconds()))
		}
		root.Send(self, &snapshotSent{member: p.member, ok: err == nil})
	})
}
