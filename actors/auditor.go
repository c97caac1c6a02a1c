package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/transport"
)

// audits is how many of its own hashes a machine remembers, to compare with those of
// machines that lag.
const audits = 8

// auditPoint decides at which indexes machines compare their states. All of them have to choose
// the same, so it looks at nothing but the time in the entries: the state is hashed as it was
// before the first entry of each period.
type auditPoint struct {
	every  time.Duration
	period uint64 // of the last entry with a time; 0: none yet
}

// before reports whether to hash the state before an entry with this time.
func (a *auditPoint) before(now logtime.Time) bool {
	if now == 0 || a.every == 0 {
		return false
	}
	period := uint64(now) / uint64(a.every)
	begins := a.period != 0 && period > a.period
	a.period = max(a.period, period)
	return begins
}

type stateHash [sha256.Size]byte

// auditorActor hashes states and compares the hashes with those of other machines.
type auditorActor struct {
	log    *slog.Logger
	to     *pids
	own    map[uint64]stateHash // by index
	order  []uint64
	theirs map[uint64]*peerHashes // by member
}

// peerHashes holds the hashes of one other machine. Each has its own, so that none can evict
// those of another.
type peerHashes struct {
	pending  []audited // hashes that cannot be compared yet, at most audits, the latest last
	compared uint64    // the last index at which it was compared
}

func (a *auditorActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *pids:
		a.to = m
	case *audit:
		a.hash(ctx, m.state)
	case *audited:
		a.compare(m)
	}
}

func (a *auditorActor) hash(ctx actor.Context, state *store.View) {
	hasher := sha256.New()
	if _, err := state.WriteTo(hasher); err != nil {
		panic(err) // a hash never fails to write
	}
	index, sum := state.Index(), stateHash(hasher.Sum(nil))
	a.record(index, sum)
	payload := append(binary.LittleEndian.AppendUint64(nil, index), sum[:]...)
	ctx.Send(a.to.raft, &broadcast{frame: transport.Frame{Kind: transport.KindHash, Payload: payload}})
}

// record notes the own hash at an index.
func (a *auditorActor) record(index uint64, sum stateHash) {
	a.own[index] = sum
	a.order = append(a.order, index)
	if len(a.order) > audits {
		delete(a.own, a.order[0])
		a.order = a.order[1:]
	}
	for _, t := range a.theirs {
		for _, m := range t.pending {
			if m.index == index {
				a.compareHashes(t, &m, sum)
			}
		}
		t.pending = slices.DeleteFunc(t.pending, func(m audited) bool { return m.index <= index }) // compared, or never will be
	}
}

func (a *auditorActor) compare(m *audited) {
	t := a.theirs[m.from]
	if t == nil {
		t = &peerHashes{}
		a.theirs[m.from] = t
	}
	if own, ok := a.own[m.index]; ok {
		a.compareHashes(t, m, own)
		return
	}
	if len(a.order) > 0 && m.index < a.order[len(a.order)-1] {
		return // this machine is past that index
	}
	if len(t.pending) == audits {
		t.pending = slices.Delete(t.pending, 0, 1)
	}
	t.pending = append(t.pending, *m)
}

// compareHashes compares the hash of another machine with the own one, once for each index.
func (a *auditorActor) compareHashes(t *peerHashes, m *audited, own stateHash) {
	if m.index <= t.compared {
		return
	}
	t.compared = m.index
	if m.hash == own {
		a.log.Debug("the state is the same as another machine's", "index", m.index, "member", MemberID(m.from))
		return
	}
	a.log.Error("THE STATE OF THIS MACHINE DIFFERS from another one's at the same index: one of them has damaged memory "+
		"or runs a program that decides differently. Compare all machines (GET /hash on their peer ports), keep the data "+
		"directory of the one that stands alone, remove that machine, and let it join again with an empty one",
		"index", m.index, "member", MemberID(m.from))
}

// decodeHash reads the payload of a KindHash: index 8 | SHA-256.
func decodeHash(from uint64, payload []byte) (*audited, bool) {
	if len(payload) != 8+sha256.Size {
		return nil, false
	}
	return &audited{from: from, index: binary.LittleEndian.Uint64(payload), hash: stateHash(payload[8:])}, true
}
