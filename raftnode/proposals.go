package raftnode

import (
	"iter"
	"math"
	"slices"
)

// proposal is a command on its way to becoming an applied entry.
type proposal struct {
	id       uint64 // of this process
	kind     ProposalKind
	member   uint64 // of a membership change
	command  []byte
	token    any
	deadline int // tick at which it is given up
	done     bool
	// term is that of the leader it was given to. Nobody proposes it in a later one.
	term uint64

	origin   uint64 // member that forwarded it, 0: this one
	originID uint64 // its ID there
}

// proposals holds those that wait to be given to Raft, if need be until there is a
// leader, and those that were given to it.
// Both queues are ordered by deadline, so giving up costs nothing for those that are
// not due.
type proposals struct {
	nextID   uint64
	waiting  []*proposal
	rejected []*proposal // by a machine that does not lead; they wait for news
	inflight map[uint64]*proposal
	order    []*proposal // the in-flight ones and some that are done, oldest first
}

func (ps *proposals) init(firstID uint64) {
	ps.nextID = firstID
	ps.inflight = make(map[uint64]*proposal)
}

// wait queues p; false if too many wait already.
func (ps *proposals) wait(p *proposal) bool {
	if len(ps.waiting) >= maxWaiting {
		return false
	}
	ps.waiting = append(ps.waiting, p)
	return true
}

// takeWaiting takes those that wait, oldest first: as many as have about limit bytes.
func (ps *proposals) takeWaiting(limit int) []*proposal {
	n, size := 0, 0
	for n < len(ps.waiting) && size < limit {
		size += len(ps.waiting[n].command)
		n++
	}
	taken := ps.waiting[:n:n]
	ps.waiting = ps.waiting[n:]
	return taken
}

// putBack returns proposals that were not proposed to the front of the queue.
func (ps *proposals) putBack(list []*proposal) {
	ps.waiting = append(list[:len(list):len(list)], ps.waiting...)
	earlier := func(a, b *proposal) int { return a.deadline - b.deadline }
	if !slices.IsSortedFunc(ps.waiting, earlier) { // some were put back before
		slices.SortStableFunc(ps.waiting, earlier)
	}
}

// reject notes that a forwarded proposal was not proposed.
func (ps *proposals) reject(id uint64) {
	if p, ok := ps.inflight[id]; ok {
		ps.rejected = append(ps.rejected, ps.takeBack(p))
	}
}

// takeBack ends an attempt and returns a fresh one.
func (ps *proposals) takeBack(p *proposal) *proposal {
	again := *p // the old one stays in the order as done
	ps.take(p.id)
	return &again
}

// takeLost takes back those that were given to leaders of terms before this one.
func (ps *proposals) takeLost(term uint64) {
	var lost []*proposal
	for _, p := range slices.Clone(ps.order) {
		if !p.done && p.term < term {
			lost = append(lost, ps.takeBack(p))
		}
	}
	ps.putBack(lost)
}

// keep makes sure that none of those in flight is taken for lost.
func (ps *proposals) keep() {
	for _, p := range ps.inflight {
		p.term = math.MaxUint64
	}
}

// retryRejected gives rejected proposals another chance.
func (ps *proposals) retryRejected() {
	if len(ps.rejected) > 0 {
		ps.putBack(ps.rejected)
		ps.rejected = nil
	}
}

// add numbers p, which is given to the leader of a term, and remembers it until its
// entry is handed out.
func (ps *proposals) add(p *proposal, term uint64) uint64 {
	p.id, p.term = ps.nextID, term
	ps.nextID++
	ps.inflight[p.id] = p
	at := len(ps.order)
	for at > 0 && ps.order[at-1].deadline > p.deadline { // it was taken back before
		at--
	}
	ps.order = slices.Insert(ps.order, at, p)
	return p.id
}

// take forgets the proposal with this ID and returns its token; nil if it is not
// one of this process, or was given up.
func (ps *proposals) take(id uint64) any {
	p, ok := ps.inflight[id]
	if !ok {
		return nil
	}
	delete(ps.inflight, id)
	p.done = true
	ps.trim()
	return p.token
}

// trim drops finished proposals from the front of the order.
func (ps *proposals) trim() {
	i := 0
	for i < len(ps.order) && ps.order[i].done {
		ps.order[i] = nil
		i++
	}
	ps.order = ps.order[i:]
}

func (ps *proposals) expiredWaiting(tick int) iter.Seq[*proposal] {
	return func(yield func(*proposal) bool) {
		for len(ps.waiting) > 0 && ps.waiting[0].deadline <= tick {
			p := ps.waiting[0]
			ps.waiting = ps.waiting[1:]
			if !yield(p) {
				return
			}
		}
	}
}

func (ps *proposals) expiredInflight(tick int) iter.Seq[*proposal] {
	return func(yield func(*proposal) bool) {
		for len(ps.order) > 0 && ps.order[0].deadline <= tick {
			p := ps.order[0]
			ps.take(p.id)
			if !yield(p) {
				return
			}
		}
	}
}
