package raftnode

import "iter"

// proposal is a command on its way to becoming an applied entry.
type proposal struct {
	id       uint64
	command  []byte
	now      uint64
	token    any
	deadline int // tick at which it is given up
	done     bool
}

// proposals holds those that wait to be given to Raft, if need be until there is a
// leader, and those that were given to it.
// All of them wait equally long, so both queues are ordered by deadline and giving
// up costs nothing for those that are not due.
type proposals struct {
	nextID   uint64
	waiting  []*proposal
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

// add numbers p and remembers it until its entry is handed out.
func (ps *proposals) add(p *proposal) uint64 {
	p.id = ps.nextID
	ps.nextID++
	ps.inflight[p.id] = p
	ps.order = append(ps.order, p)
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
