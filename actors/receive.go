package actors

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/transport"
)

// Answers to the handshake of a stream that is refused.
const (
	statusUnknown = 412 // not a member as far as this machine knows
	statusGone    = 410 // removed for ever
)

var errNoSnapshot = errors.New("actors: what came as a snapshot is none")

// roster is who may talk to this machine. It is replaced, never changed.
type roster struct {
	members []store.Member
	removed []uint64
}

// inbox takes what comes from other machines, on the goroutines of their
// connections, and passes it on as messages.
type inbox struct {
	root   *actor.RootContext
	to     *pids
	log    *slog.Logger
	roster atomic.Pointer[roster]
}

// admit decides about a stream. A machine that is still empty knows nobody and lets
// everybody of its cluster in; Raft looks after itself.
func (in *inbox) admit(h transport.Hello) (status int, message string) {
	r := in.roster.Load()
	switch {
	case r == nil:
		return 0, ""
	case slices.Contains(r.removed, h.From):
		return statusGone, "this machine was removed from the cluster"
	}
	at := slices.IndexFunc(r.members, func(m store.Member) bool { return m.ID == h.From })
	if at < 0 {
		return statusUnknown, "this machine is not known as a member (yet)"
	}
	if h.Addr != "" && h.Addr != peerAddr(r.members[at]) {
		in.root.Send(in.to.raft, &located{member: h.From, addr: h.Addr})
	}
	return 0, ""
}

// deliver takes one frame of a member's stream.
func (in *inbox) deliver(from uint64, f transport.Frame) {
	switch f.Kind {
	case transport.KindRaft:
		m := &raftpb.Message{}
		if err := proto.Unmarshal(f.Payload, m); err != nil {
			in.log.Error("a member sends what is no message", "member", from, "error", err)
			return
		}
		if m.GetFrom() != from {
			in.log.Error("a member sends in the name of another", "member", from, "as", m.GetFrom())
			return
		}
		in.root.Send(in.to.raft, m)
	case transport.KindForward:
		in.root.Send(in.to.raft, &forwarded{from: from, payload: f.Payload})
	case transport.KindReject:
		in.root.Send(in.to.raft, &rejected{payload: f.Payload})
	case transport.KindHash:
		if m, ok := decodeHash(from, f.Payload); ok {
			in.root.Send(in.to.auditor, m)
		}
	}
}

// snapshot stores a snapshot of the leader and passes its message on when it is
// durable.
func (in *inbox) snapshot(from uint64, message []byte, body io.Reader) error {
	m := &raftpb.Message{}
	if err := proto.Unmarshal(message, m); err != nil {
		return err
	}
	if m.GetType() != raftpb.MsgSnap || m.GetFrom() != from {
		return errNoSnapshot
	}
	done := make(chan error, 1)
	in.root.Send(in.to.snapshotter, &receiveSnapshot{meta: m.GetSnapshot().GetMetadata(), body: body, done: done})
	if err := <-done; err != nil {
		return err
	}
	in.root.Send(in.to.raft, m)
	return nil
}
