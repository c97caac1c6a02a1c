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
	held     bool // it counts against the limits
	done     bool
	// term is that of the leader that it was given to. It is not proposed in a later one.
	term   uint64
	leader uint64 // to which it was forwarded, 0: this machine
	again  bool   // it was forwarded more than once
	unsent bool   // its last retry could not be sent
	kept   bool   // it may be in a snapshot, so nobody can tell that it is lost

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
	count    int // of those held
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

// wait queues p, and reports whether there was room for it.
func (ps *proposals) wait(p *proposal) bool {
	if ps.count >= maxWaiting || ps.count > 0 && ps.bytes+len(p.command) > maxWaitingBytes {
		return false
	}
	p.held = true
	ps.count++
	ps.bytes += len(p.command)
	ps.waiting = append(ps.waiting, p)
	return true
}

// drop lets p no longer count against the limits.
func (ps *proposals) drop(p *proposal) {
	if p.held {
		p.held = false
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
		ps.rejected = append(ps.rejected, ps.takeBack(p))
	}
}

// takeBack ends an attempt and returns a fresh one.
func (ps *proposals) takeBack(p *proposal) *proposal {
	fresh := *p // the old one stays in the order as done
	fresh.again, fresh.unsent, fresh.kept = false, false, false
	p.held = false
	ps.take(p.id)
	return &fresh
}

// takeLost takes back those that were given to leaders of terms before this one: they are lost.
func (ps *proposals) takeLost(term uint64) {
	var lost []*proposal
	for _, p := range slices.Clone(ps.order) {
		if !p.done && !p.kept && p.term < term {
			lost = append(lost, ps.takeBack(p))
		}
	}
	ps.putBack(lost)
}

// keep ensures that none of those in flight is taken for lost.
func (ps *proposals) keep() {
	for _, p := range ps.inflight {
		p.kept = true
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
	ps.drop(p)
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
			ps.drop(p)
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
