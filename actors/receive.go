package actors

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/transport"
)

// statusGone answers the handshake of a machine that was removed for ever.
const statusGone = http.StatusGone

var errNoSnapshot = errors.New("actors: what came as a snapshot is none")

// Inbox takes what comes from other machines, on the goroutines of their
// connections, and passes it on as messages.
type Inbox struct {
	self    uint64
	root    *actor.RootContext
	to      *pids
	log     *slog.Logger
	removed atomic.Pointer[[]uint64] // former members; replaced, never changed

	refused atomic.Int64 // streams of removed machines, and frames that must not come
}

// isRemoved says whether a machine was removed from the cluster, as far as is known.
func (in *Inbox) isRemoved(member uint64) bool {
	removed := in.removed.Load()
	return removed != nil && slices.Contains(*removed, member)
}

// Admit decides about a stream of a machine that knows the ID of this cluster. Only
// one that was removed is refused: a machine that is behind may not know a member yet,
// and if that one leads, it is the only one from which to learn. Raft does not listen
// to those who have no say.
func (in *Inbox) Admit(h transport.Hello) (status int, message string) {
	if in.isRemoved(h.From) {
		in.refused.Add(1)
		return statusGone, "this machine was removed from the cluster"
	}
	if h.From == in.self {
		in.refused.Add(1)
		in.log.Error("another process runs with the identity of this machine: was its data directory copied? Stop one of them", "address", h.Addr)
		return http.StatusPreconditionFailed, "this is that machine"
	}
	if h.Addr != "" {
		in.root.Send(in.to.raft, &located{member: h.From, addr: h.Addr})
	}
	return 0, ""
}

// Deliver takes one frame of a member's stream.
func (in *Inbox) Deliver(from uint64, f transport.Frame) {
	switch f.Kind {
	case transport.KindRaft:
		m, err := raftnode.DecodeMessage(f.Payload)
		if err != nil {
			in.refused.Add(1)
			in.log.Error("a member sends what is no message", "member", MemberID(from), "error", err)
			return
		}
		if m.GetType() == raftpb.MsgSnap {
			in.refused.Add(1)
			in.log.Error("a member sends a snapshot where there are only messages", "member", MemberID(from))
			return
		}
		if m.GetFrom() != from {
			in.refused.Add(1)
			in.log.Error("a member sends in the name of another", "member", MemberID(from), "as", MemberID(m.GetFrom()))
			return
		}
		in.root.Send(in.to.raft, &m)
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

// Snapshot stores a snapshot of the leader and passes its message on when it is
// durable. Then, or when it cannot be, done is called.
func (in *Inbox) Snapshot(from uint64, message []byte, body io.Reader, done func(error)) {
	m := &raftpb.Message{}
	if err := proto.Unmarshal(message, m); err != nil {
		done(err)
		return
	}
	if m.GetType() != raftpb.MsgSnap || m.GetFrom() != from {
		done(errNoSnapshot)
		return
	}
	in.root.Send(in.to.snapshotter, &receiveSnapshot{meta: m.GetSnapshot().GetMetadata(), body: body, done: func(err error) {
		if err == nil {
			in.root.Send(in.to.raft, &raftnode.Message{Message: m})
		}
		done(err)
	}})
}
