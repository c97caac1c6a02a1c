package raftnode

import "maps"

// forwardWindow is how far apart the IDs of a member's forwards in flight may be, in one term.
// It bounds what a leader remembers of a member: 128 KiB, and what it has refused.
const forwardWindow = 1 << 20

// origins are what a leader knows, by member, of the proposals that were forwarded to it
// in a term. When a connection breaks nobody knows what has arrived, so the sender retries
// all that is not settled, and the leader must decide about each proposal once.
type origins struct {
	term    uint64
	members map[uint64]*origin
}

// origin is what a leader knows of the forwards of one member.
type origin struct {
	process uint64 // that has chosen the IDs: a restarted one chooses others
	low     uint64 // no ID below is in flight
	decided bits   // IDs from low on that were taken or refused
	refused map[uint64]error
	prune   int // refused is pruned when it has so many
}

// of returns what is known of the process that has forwarded p in the present term.
// Connections ensure that nothing from a process arrives after something from the next one.
func (os *origins) of(p *proposal) *origin {
	if os.term != p.term {
		os.term, os.members = p.term, make(map[uint64]*origin)
	}
	o := os.members[p.origin]
	if o == nil || o.process != p.process {
		o = &origin{process: p.process, low: p.low, decided: bits{base: p.low}, refused: make(map[uint64]error)}
		os.members[p.origin] = o
	}
	return o
}

// refuse notes why a proposal that was taken was not proposed.
func (os *origins) refuse(p *proposal, err error) {
	if o := os.members[p.origin]; o != nil && o.process == p.process && os.term == p.term {
		o.refuse(p.originID, err)
	}
}

// advance notes that no ID below low is in flight any more.
func (o *origin) advance(low uint64) {
	if low <= o.low {
		return
	}
	o.low = low
	o.decided.drop(low)
}

// accept notes that a proposal is being decided about. It reports whether that is new, and the
// proposal still in flight.
func (o *origin) accept(id uint64) bool {
	return id >= o.low && id-o.low < forwardWindow && o.decided.set(id)
}

func (o *origin) refuse(id uint64, err error) {
	if len(o.refused) >= o.prune {
		maps.DeleteFunc(o.refused, func(id uint64, _ error) bool { return id < o.low })
		o.prune = 2*len(o.refused) + 64
	}
	o.refused[id] = err
}

// bits is a set of numbers that are close to each other.
type bits struct {
	base  uint64 // of the first word
	words []uint64
}

// set adds a number that is not below base, and reports whether it is new.
func (b *bits) set(n uint64) bool {
	word, bit := (n-b.base)/64, uint64(1)<<((n-b.base)%64)
	for uint64(len(b.words)) <= word {
		b.words = append(b.words, 0)
	}
	if b.words[word]&bit != 0 {
		return false
	}
	b.words[word] |= bit
	return true
}

// drop forgets the words whose numbers are all below n.
func (b *bits) drop(n uint64) {
	words := (n - b.base) / 64
	b.base += 64 * words
	b.words = b.words[min(words, uint64(len(b.words))):]
}
