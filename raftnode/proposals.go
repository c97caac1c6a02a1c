package raftnode

import (
	"iter"
	"slices"
)

// proposal is a command on its way to becoming an applied entry.
type proposal struct {
	id       uint64 // of this process
	kind     ProposalKind
	member   uint64 // of a conf change
	command  []byte
	token    any
	deadline int  // tick at which it is given up
	counted  bool // it counts against the limits
	done     bool
	// term is that of the leader that it was given to. It is not proposed in a later one.
	term            uint64
	leader          uint64 // to which it was forwarded, 0: this machine
	resent          bool   // it was forwarded more than once
	unsent          bool   // its last retry could not be sent
	maybeInSnapshot bool   // it may be in a snapshot, so nobody can tell that it is lost

	origin   uint64 // member that forwarded it, 0: this one
	originID uint64 // its ID there
	process  uint64 // that has numbered it
	low      uint64 // the process has none below in flight
}

// proposals holds those that wait to be given to Raft, if need be until there is a
// leader, and those in flight. There are at most maxWaiting of them, with
// maxWaitingBytes. Both queues are ordered by deadline, so looking for those that are
// due does not cost anything for the others.
type proposals struct {
	count    int // of those counted
	bytes    int // of their commands
	nextID   uint64
	lowest   uint64 // no ID below is in flight
	waiting  []*proposal
	rejected []*proposal // by a machine that does not lead; they wait for a retry
	inflight map[uint64]*proposal
	order    []*proposal // the in-flight ones and some that are done, oldest first
	unsent   bool        // some forwards could not be retried
}

func (ps *proposals) init(firstID uint64) {
	ps.nextID, ps.lowest = firstID, firstID
	ps.inflight = make(map[uint64]*proposal)
}

// enqueue queues p, and reports whether there was room for it.
func (ps *proposals) enqueue(p *proposal) bool {
	if ps.count >= maxWaiting || ps.count > 0 && ps.bytes+len(p.command) > maxWaitingBytes {
		return false
	}
	p.counted = true
	ps.count++
	ps.bytes += len(p.command)
	ps.waiting = append(ps.waiting, p)
	return true
}

// uncount lets p no longer count against the limits.
func (ps *proposals) uncount(p *proposal) {
	if p.counted {
		p.counted = false
		ps.count--
		ps.bytes -= len(p.command)
	}
}

// low returns the lowest ID in flight, or the next one if there is none.
func (ps *proposals) low() uint64 {
	for ; ps.lowest < ps.nextID; ps.lowest++ {
		if _, ok := ps.inflight[ps.lowest]; ok {
			break
		}
	}
	return ps.lowest
}

// takeWaiting takes waiting proposals from the queue, oldest first, up to about limit bytes.
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
		ps.rejected = append(ps.rejected, ps.renew(p))
	}
}

// renew ends an attempt and returns a fresh one.
func (ps *proposals) renew(p *proposal) *proposal {
	fresh := *p // the old one stays in the order as done
	fresh.resent, fresh.unsent, fresh.maybeInSnapshot = false, false, false
	p.counted = false
	ps.take(p.id)
	return &fresh
}

// requeueLost takes back those that were given to leaders of terms before this one: they are lost.
func (ps *proposals) requeueLost(term uint64) {
	var lost []*proposal
	for _, p := range slices.Clone(ps.order) {
		if !p.done && !p.maybeInSnapshot && p.term < term {
			lost = append(lost, ps.renew(p))
		}
	}
	ps.putBack(lost)
}

// noteSnapshot ensures that none of those in flight is taken for lost.
func (ps *proposals) noteSnapshot() {
	for _, p := range ps.inflight {
		p.maybeInSnapshot = true
	}
}

// retryRejected queues rejected proposals again.
func (ps *proposals) retryRejected() {
	if len(ps.rejected) > 0 {
		ps.putBack(ps.rejected)
		ps.rejected = nil
	}
}

// add numbers p, which is given to the leader of a term, and remembers it until its
// entry is handed out.
func (ps *proposals) add(p *proposal, term uint64) {
	p.id, p.term = ps.nextID, term
	ps.nextID++
	ps.inflight[p.id] = p
	at := len(ps.order)
	for at > 0 && ps.order[at-1].deadline > p.deadline { // it was taken back before
		at--
	}
	ps.order = slices.Insert(ps.order, at, p)
}

// take forgets the proposal with this ID and returns its token; nil if it is not
// one of this process, or was given up.
func (ps *proposals) take(id uint64) any {
	p, ok := ps.inflight[id]
	if !ok {
		return nil
	}
	delete(ps.inflight, id)
	ps.uncount(p)
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
			ps.uncount(p)
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
