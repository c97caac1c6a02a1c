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

	"etcd/raftnode"
	"etcd/store"
	"etcd/transport"
	"etcd/witness"
)

var errOtherName = errors.New("a snapshot comes in the name of another member")

// Inbox takes what comes from other machines, on the goroutines of their
// connections, and passes it on as messages.
type Inbox struct {
	self    store.Member
	nonce   uint64
	root    *actor.RootContext
	to      *pids
	log     *slog.Logger
	members atomic.Pointer[[]store.Member]    // as of the state of this machine; replaced, never changed
	removed atomic.Pointer[[]uint64]          // former members; replaced, never changed
	places  atomic.Pointer[[]transport.Place] // of members that have said so; replaced, never changed
	book    *atomic.Pointer[witness.Book]
	behind  atomic.Pointer[met] // the last process that was refused for what it lacks

	refused atomic.Int64 // streams of removed machines, and frames that must not come
}

// isRemoved says whether a machine was removed from the cluster, as far as is known.
func (in *Inbox) isRemoved(member uint64) bool {
	removed := in.removed.Load()
	return removed != nil && slices.Contains(*removed, member)
}

// Places is where other members are that have said so themselves.
func (in *Inbox) Places() []transport.Place {
	if places := in.places.Load(); places != nil {
		return *places
	}
	return nil
}

// Admit decides about a stream of a machine that knows the ID of this cluster. A machine
// that is not known as a member is welcome all the same: one that is behind may not know a
// member yet, and if that one leads, it is the only one from which to learn. Raft does not
// listen to those who have no say.
func (in *Inbox) Admit(h transport.Hello) (status int, message string) {
	if err := in.certified(h); err != nil {
		in.refused.Add(1)
		return transport.StatusUncertified, err.Error()
	}
	if in.isRemoved(h.From) {
		in.refused.Add(1)
		return statusGone, "this machine was removed from the cluster"
	}
	if h.From == in.self.ID {
		in.refused.Add(1)
		if h.Nonce == in.nonce {
			return http.StatusPreconditionFailed, "this is that machine"
		}
		in.log.Error("another process runs with the identity of this machine: was its data directory copied? Stop one of them", "address", h.Addr)
		return statusRival, rivalry(in.self.ID)
	}
	if status, message = in.Meet(h); status == 0 && h.Addr != "" {
		in.root.Send(in.to.raft, &located{member: h.From, addr: h.Addr})
	}
	return status, message
}

// Meet decides whether a process may speak for a member, whichever side has called the
// other.
func (in *Inbox) Meet(h transport.Hello) (status int, message string) {
	reach, err := witness.DecodeReach(h.Reach)
	if err != nil {
		in.refused.Add(1)
		return http.StatusBadRequest, err.Error()
	}
	book := in.book.Load()
	m := &met{member: h.From, nonce: h.Nonce, reach: reach}
	switch book.Judge(h.From, h.Nonce, reach, h.Rival) {
	case witness.Rival:
		in.refused.Add(1)
		return statusRival, rivalry(h.From)
	case witness.Behind:
		in.refused.Add(1)
		if last := in.behind.Swap(m); last == nil || last.member != m.member || last.nonce != m.nonce {
			had := book.Record(h.From)
			in.log.Warn("a member comes back with less than it has acknowledged: it was restored from a backup, or its disk lost writes. "+
				"It is refused and has to be replaced", "member", MemberID(h.From), "term", reach.Term, "lastIndex", reach.Last,
				"hadTerm", had.Term, "hadIndex", had.Index, "hadCommitted", had.Committed)
		}
		return statusBehind, lossOf(h.From, in.self)
	}
	in.root.Send(in.to.witness, m)
	return 0, ""
}

// refuse counts what another machine must not send, and says what it was.
func (in *Inbox) refuse(message string, attrs ...any) {
	in.refused.Add(1)
	in.log.Error(message, attrs...)
}

// Deliver takes one frame of a member's stream.
func (in *Inbox) Deliver(from uint64, f transport.Frame) {
	switch f.Kind {
	case transport.KindRaft:
		m, err := raftnode.DecodeMessage(f.Payload)
		if err != nil {
			in.refuse("a member sends what is no message", "member", MemberID(from), "error", err)
			return
		}
		if m.GetType() == raftpb.MsgSnap {
			in.refuse("a member sends a snapshot where there are only messages", "member", MemberID(from))
			return
		}
		if m.GetFrom() != from {
			in.refuse("a member sends in the name of another", "member", MemberID(from), "as", MemberID(m.GetFrom()))
			return
		}
		in.root.Send(in.to.raft, &m)
	case transport.KindForward:
		in.root.Send(in.to.raft, &forwarded{from: from, payload: f.Payload})
	case transport.KindReject:
		in.root.Send(in.to.raft, &rejected{from: from, payload: f.Payload})
	case transport.KindReach:
		reach, err := witness.DecodeReach(string(f.Payload))
		if err != nil {
			in.refuse("a member sends what is no reach", "member", MemberID(from), "error", err)
			return
		}
		in.root.Send(in.to.witness, &shown{member: from, reach: reach})
	case transport.KindRefusal:
		refused, err := transport.DecodeRefusal(f.Payload)
		if err != nil {
			in.refuse("a member sends what is no refusal", "member", MemberID(from), "error", err)
			return
		}
		if d, final := departure(refused.Status, refused.Message); final {
			in.root.Send(in.to.raft, &expelled{departure: d})
		}
	case transport.KindHash:
		if m, ok := decodeHash(from, f.Payload); ok {
			in.root.Send(in.to.auditor, m)
		}
	}
}

// Offer asks whether a snapshot shall be received with the Raft message that came for it.
// done gets the answer, and is called once.
func (in *Inbox) Offer(from uint64, message []byte, done func(error)) {
	in.offer(from, message, func(_ *raftpb.Message, _ bool, err error) { done(err) })
}

func (in *Inbox) offer(from uint64, message []byte, done func(m *raftpb.Message, needed bool, err error)) {
	m, err := raftnode.DecodeOffer(message)
	if err == nil && m.GetFrom() != from {
		err = errOtherName
	}
	if err != nil {
		in.refused.Add(1)
		done(nil, false, err)
		return
	}
	in.root.Send(in.to.raft, &offered{message: m, answer: func(needed bool, err error) { done(m, needed, err) }})
}

// Snapshot takes a snapshot of the leader, whose body has so many bytes, and passes its
// message on when it is durable. Then, or when it cannot be, or must not, done is called.
func (in *Inbox) Snapshot(from uint64, message []byte, size int64, body io.Reader, done func(error)) {
	in.offer(from, message, func(m *raftpb.Message, needed bool, err error) {
		if err != nil {
			done(err)
			return
		}
		in.root.Send(in.to.receiver, &receiveSnapshot{
			from: from, meta: m.GetSnapshot().GetMetadata(), needed: needed, size: size, body: body,
			done: func(err error) {
				if err == nil {
					in.root.Send(in.to.raft, &raftnode.Message{Message: m})
				}
				done(err)
			},
		})
	})
}
