package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store"
	"etcd/transport"
)

// audits is how many of its own hashes a machine remembers, to compare with those of
// machines that are behind.
const audits = 8

// auditPoint decides where machines compare their states. All of them have to choose
// the same places in the log, so it looks at nothing but the time in the entries: the
// state is hashed as it was before the first entry of each period.
type auditPoint struct {
	every  time.Duration
	period uint64 // of the last entry with a time; 0: none yet
}

// before says whether the state is to be hashed before an entry with this time.
func (a *auditPoint) before(now store.Time) bool {
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
	theirs map[uint64]map[uint64]stateHash // by index and member: what cannot be compared yet
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

func (a *auditorActor) hash(ctx actor.Context, state *store.Snapshot) {
	hasher := sha256.New()
	if _, err := state.WriteTo(hasher); err != nil {
		panic(err) // a hash takes everything
	}
	index, sum := state.Index(), stateHash(hasher.Sum(nil))
	a.own[index] = sum
	a.order = append(a.order, index)
	if len(a.order) > audits {
		delete(a.own, a.order[0])
		a.order = a.order[1:]
	}
	for member, theirs := range a.theirs[index] {
		a.judge(index, member, theirs == sum)
	}
	for i := range a.theirs {
		if i <= index { // compared, or never to be
			delete(a.theirs, i)
		}
	}
	payload := append(binary.LittleEndian.AppendUint64(nil, index), sum[:]...)
	ctx.Send(a.to.raft, &broadcast{frame: transport.Frame{Kind: transport.KindHash, Payload: payload}})
}

func (a *auditorActor) compare(m *audited) {
	if own, ok := a.own[m.index]; ok {
		a.judge(m.index, m.from, own == m.hash)
		return
	}
	if len(a.order) > 0 && m.index < a.order[0] || len(a.theirs) >= audits {
		return // too old, or more than this machine will ever get to
	}
	if a.theirs[m.index] == nil {
		a.theirs[m.index] = make(map[uint64]stateHash)
	}
	a.theirs[m.index][m.from] = m.hash
}

func (a *auditorActor) judge(index, member uint64, same bool) {
	if same {
		a.log.Debug("the state is the same as another machine's", "index", index, "member", MemberID(member))
		return
	}
	a.log.Error("THE STATE OF THIS MACHINE DIFFERS from another one's at the same index: one of them has damaged memory "+
		"or runs a program that decides differently. Compare all machines (GET /hash on their peer ports), keep the data "+
		"directory of the one that stands alone, remove that machine, and let it join again with an empty one",
		"index", index, "member", MemberID(member))
}

// decodeHash reads the payload of a KindHash: index 8 | SHA-256.
func decodeHash(from uint64, payload []byte) (*audited, bool) {
	if len(payload) != 8+sha256.Size {
		return nil, false
	}
	return &audited{from: from, index: binary.LittleEndian.Uint64(payload), hash: stateHash(payload[8:])}, true
}
