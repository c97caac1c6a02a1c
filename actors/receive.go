package actors

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
	"etcd/store"
	"etcd/transport"
	"etcd/witness"
)

var errOtherName = errors.New("a snapshot was sent in the name of another member")

// statusUnproven refuses the handshake of a machine that may be the member it claims to be, as
// long as that cannot be verified. It retries.
const statusUnproven = http.StatusServiceUnavailable

const (
	unknownMember = "this machine does not know that member, and looks for one that does"
	unproven      = "the member that this machine claims to be answers neither at its known address nor at the one it claims"
)

// LessThanAcknowledged is logged when a member is refused because its disk lacks what it has
// acked: it has to be replaced.
const LessThanAcknowledged = "a member comes back with less than it has acknowledged: it was restored from a backup, or its disk lost writes. " +
	"It is refused and has to be replaced"

var errNotMember = errors.New("actors: a proposal of a machine that this one does not know as a member")

// Inbox takes what comes from other machines, on the goroutines of their
// connections, and passes it on as messages.
type Inbox struct {
	self        store.Member
	nonce       uint64
	root        *actor.RootContext
	to          *pids
	log         *slog.Logger
	members     atomic.Pointer[[]store.Member]    // as of the state of this machine; replaced, never changed
	addressBook atomic.Pointer[addressBook]       // replaced, never changed
	others      atomic.Pointer[[]transport.Place] // of addressBook, for others; replaced, never changed
	book        *atomic.Pointer[witness.Book]
	version     atomic.Uint32       // of the cluster, or the one to which it is being raised; 0 if unknown
	behind      atomic.Pointer[met] // the last process that was refused because it has lost data

	mu     sync.Mutex
	claims claims

	unprovenMu sync.Mutex
	unproven   map[uint64]unprovenVersions // by member; only those that are not believed yet

	refused atomic.Int64 // refused streams, and frames that must not be sent
}

// setAddressBook replaces what this machine knows of the members. order are their IDs.
func (in *Inbox) setAddressBook(r *addressBook, order []uint64) {
	others := r.others(order)
	in.addressBook.Store(r)
	in.others.Store(&others)
	in.mu.Lock()
	in.claims.forget(r.removed)
	in.mu.Unlock()
	in.recheckVersions()
}

// Places returns the known addresses of the other members.
func (in *Inbox) Places() []transport.Place { return *in.others.Load() }

// Trusted returns the addresses of a member that rest on more than its own word; see
// [place.believed].
func (in *Inbox) Trusted(member uint64) []string {
	return in.addressBook.Load().places[member].trusted()
}

// trusts reports whether the process at addr counts as the member, see [place.believed].
func (in *Inbox) trusts(member uint64, addr string) bool {
	return in.addressBook.Load().places[member].isTrusted(addr)
}

// Self returns this machine, as the others know it.
func (in *Inbox) Self() store.Member { return in.self }

// HasRun reports whether this machine knows of a member that it has run: it was connected, or
// has told the cluster where clients reach it. removed says that it was a member and is none.
func (in *Inbox) HasRun(member uint64) (has, removed bool) {
	if in.addressBook.Load().isRemoved(member) {
		return true, true
	}
	has = in.book.Load().Knows(member)
	for _, m := range in.Members() {
		has = has || m.ID == member && m.ClientURL != ""
	}
	return has, false
}

// proven returns the nonce of the process that was last proven to be a member, and whether
// that process is believed.
func (in *Inbox) proven(member uint64) (nonce uint64, believed bool) {
	in.mu.Lock()
	one := in.claims.proven[member]
	in.mu.Unlock()
	return one.nonce, in.trusts(member, one.addr)
}

// Admit decides about a stream from a machine that knows the ID of this cluster. The dialer is
// the member that it claims to be if that member, asked back at its known address, or else at
// the one that the dialer claims, says that it has dialled. A dialer that is not known as a
// member is looked for, since this machine may be behind: an unknown leader may be the only
// one from which to learn. It is welcome once a known member has named it.
func (in *Inbox) Admit(h transport.Hello) transport.Verdict {
	known := in.addressBook.Load()
	refuse := func(status int, message string) transport.Verdict {
		in.refused.Add(1)
		return transport.Verdict{Status: status, Message: message}
	}
	if err := in.certified(h); err != nil {
		return refuse(transport.StatusUncertified, err.Error())
	}
	if known.isRemoved(h.From) {
		return refuse(statusGone, "this machine was removed from the cluster")
	}
	if h.From == in.self.ID {
		if h.Nonce == in.nonce {
			return refuse(http.StatusPreconditionFailed, "this is that machine")
		}
		in.log.Error("another process runs with the identity of this machine: was its data directory copied? Stop one of them", "address", h.Addr)
		return refuse(statusRival, rivalMessage(in.self.ID))
	}
	p, ok := known.places[h.From]
	if !ok {
		in.root.Send(in.to.finder, &strangerDialled{member: h.From})
		return refuse(statusUnproven, unknownMember)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	at := in.claims.at(h)
	switch {
	case at != "":
	case h.Asked == nil:
		return transport.Verdict{Ask: p.known()} // never empty: this machine dials one of them
	case h.Asked.Denied:
		return refuse(statusRival, rivalMessage(h.From))
	case h.Asked.At == "":
		return refuse(statusUnproven, unproven)
	default:
		at = h.Asked.At
	}
	supersedes := in.claims.supersedes(h, at, p)
	h.Rival = h.Rival && !supersedes
	said := h
	h.Addr = at
	status, message := in.Meet(h)
	if status == 0 {
		in.claims.note(said, at)
		in.root.Send(in.to.raft, &located{member: h.From, addr: at})
	}
	return transport.Verdict{Status: status, Message: message, Supersedes: supersedes}
}

// Meet decides whether a process may act as a member, whichever side has dialled. h.Addr is
// where it was found. Its reach is remembered only if it is believed to be the member, so that
// no other process can get the member refused.
func (in *Inbox) Meet(h transport.Hello) (status int, message string) {
	reach, err := witness.DecodeReach(h.Reach)
	if err != nil {
		in.refused.Add(1)
		return http.StatusBadRequest, err.Error()
	}
	if err := CheckUnderstood(h.Understood, in.version.Load()); err != nil {
		in.refused.Add(1)
		return statusVersion, err.Error()
	}
	book := in.book.Load()
	m := &met{member: h.From, nonce: h.Nonce, reach: reach}
	switch book.Judge(h.From, h.Nonce, reach, h.Rival) {
	case witness.Rival:
		in.refused.Add(1)
		return statusRival, rivalMessage(h.From)
	case witness.Behind:
		in.refused.Add(1)
		if last := in.behind.Swap(m); last == nil || last.member != m.member || last.nonce != m.nonce {
			had := book.Record(h.From)
			in.log.Warn(LessThanAcknowledged, "member", MemberID(h.From), "term", reach.Term, "lastIndex", reach.Last,
				"hadTerm", had.Term, "hadIndex", had.Index, "hadCommitted", had.Committed)
		}
		return statusBehind, lossMessage(h.From, in.self)
	}
	if in.noteVersions(h) {
		in.root.Send(in.to.witness, m)
	}
	return 0, ""
}

// refuse counts and logs what another machine must not send.
func (in *Inbox) refuse(message string, attrs ...any) {
	in.refused.Add(1)
	in.log.Error(message, attrs...)
}

// Deliver takes one frame of a stream that was admitted. An error ends the stream.
func (in *Inbox) Deliver(from uint64, f transport.Frame) error {
	switch f.Kind {
	case transport.KindRaft:
		m, err := raftnode.DecodeMessage(f.Payload)
		if err != nil {
			in.refuse("a member sent an invalid message", "member", MemberID(from), "error", err)
			return nil
		}
		if m.GetType() == raftpb.MsgSnap {
			in.refuse("a member sent a snapshot on a stream of messages", "member", MemberID(from))
			return nil
		}
		if m.GetFrom() != from {
			in.refuse("a member sent a message in the name of another", "member", MemberID(from), "as", MemberID(m.GetFrom()))
			return nil
		}
		in.root.Send(in.to.raft, &m)
	case transport.KindForward:
		if !in.addressBook.Load().isMember(from) {
			in.refused.Add(1)
			return errNotMember // it resends it on the next stream
		}
		bad := raftnode.CheckForward(f.Payload, store.MaxCommand, store.CheckProposal)
		in.root.Send(in.to.raft, &forwarded{from: from, payload: f.Payload, bad: bad})
	case transport.KindReject:
		in.root.Send(in.to.raft, &rejected{from: from, payload: f.Payload})
	case transport.KindReach:
		reach, err := witness.DecodeReach(string(f.Payload))
		if err != nil {
			in.refuse("a member sent an invalid reach", "member", MemberID(from), "error", err)
			return nil
		}
		if nonce, believed := in.proven(from); believed {
			in.root.Send(in.to.witness, &met{member: from, nonce: nonce, reach: reach})
		}
	case transport.KindRefusal:
		refused, err := transport.DecodeRefusal(f.Payload)
		if err != nil {
			in.refuse("a member sent an invalid refusal", "member", MemberID(from), "error", err)
			return nil
		}
		if _, believed := in.proven(from); !believed {
			return nil
		}
		if d, final := departure(refused.Status, refused.Message); final {
			in.root.Send(in.to.raft, &expelled{departure: d})
		}
	case transport.KindHash:
		if m, ok := decodeHash(from, f.Payload); ok && in.addressBook.Load().isMember(from) {
			in.root.Send(in.to.auditor, m)
		}
	}
	return nil
}

// Offer asks whether to receive the snapshot that a Raft message announces. done is called
// once: nil says yes.
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

// Snapshot receives a snapshot of the leader, with a body of size bytes, and passes its
// message on when it is durable. done is called once: then, or when that was refused or has
// failed.
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
					in.root.Send(in.to.raft, &raftnode.Message{Message: m, SnapshotSize: uint64(size)})
				}
				done(err)
			},
		})
	})
}
