package raftnode

import "maps"

// forwardWindow is how far the IDs of proposals may be apart that a member has forwarded
// in one term and still waits for. It bounds what a leader remembers of a member: 128 KiB,
// and what it has refused.
const forwardWindow = 1 << 20

// origins are what a leader knows, by member, of the proposals that were forwarded to it
// in a term. When a connection breaks nobody knows what has arrived, so all that is not
// settled is sent again, and each proposal must be decided about once.
type origins struct {
	term    uint64
	members map[uint64]*origin
}

// origin is one member.
type origin struct {
	process uint64 // whose IDs they are: one that starts again has others
	low     uint64 // the member waits for nothing below
	decided bits   // those from low on that were taken or refused
	refused map[uint64]error
	prune   int // refused is looked through when it has so many
}

// of returns what is known of the process that has forwarded p in the present term.
// Connections see to it that nothing of a process comes after something of the next one.
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

// settle notes that the member waits for nothing below low.
func (o *origin) settle(low uint64) {
	if low <= o.low {
		return
	}
	o.low = low
	o.decided.drop(low)
}

// take notes that a proposal is being decided about; false if it was before, or if nobody
// waits for it.
func (o *origin) take(id uint64) bool {
	return id >= o.low && id-o.low < forwardWindow && o.decided.set(id)
}

func (o *origin) refuse(id uint64, err error) {
	if len(o.refused) >= o.prune {
		maps.DeleteFunc(o.refused, func(id uint64, _ error) bool { return id < o.low })
		o.prune = 2*len(o.refused) + 64
	}
	o.refused[id] = err
}

// bits is a set of numbers that are not far apart.
type bits struct {
	base  uint64 // of the first word
	words []uint64
}

// set adds a number that is not below base; false if it was there.
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

// drop forgets words of which all numbers are below n.
func (b *bits) drop(n uint64) {
	words := (n - b.base) / 64
	b.base += 64 * words
	b.words = b.words[min(words, uint64(len(b.words))):]
}
