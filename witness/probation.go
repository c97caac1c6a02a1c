package witness

import "iter"

// Probation is the time after a start in which a process neither votes nor acknowledges
// anything. It ends when every other member has welcomed it; or, because some may be down,
// after a while in which none of those that answered had anything against it. Without it a
// member that has forgotten what it knew could be given a vote before another one, which
// knows better, has answered.
type Probation struct {
	quiet, patience int
	ticks           int
	quietSince      int // tick since which nobody has anything against it
	over            bool
	welcomed        map[uint64]bool
	rivals          map[uint64]int // members that are connected to another process, and since which tick they say so
}

// NewProbation begins the probation of a process. It lasts quiet ticks if not all members
// are heard of, and patience is for how many ticks another process with the same identity
// may be said to be connected: longer than it takes to notice that one is dead. A process
// with nothing in its log has nothing to prove.
func NewProbation(quiet, patience int, nothing bool) *Probation {
	return &Probation{quiet: quiet, patience: patience, over: nothing, welcomed: map[uint64]bool{}, rivals: map[uint64]int{}}
}

// Welcomed notes that a member has taken this process in.
func (p *Probation) Welcomed(member uint64) {
	p.welcomed[member] = true
	p.forget(member)
}

// Rival notes that a member is connected to another process with the same identity.
func (p *Probation) Rival(member uint64) {
	if _, known := p.rivals[member]; !known {
		p.rivals[member] = p.ticks
	}
}

// Unreachable notes that a member no longer says anything.
func (p *Probation) Unreachable(member uint64) { p.forget(member) }

func (p *Probation) forget(rival uint64) {
	if _, known := p.rivals[rival]; known {
		delete(p.rivals, rival)
		p.quietSince = p.ticks
	}
}

// Tick lets one unit of time pass. It returns true when the process has to give way to
// another one, which it does only before it has taken part: of the two it is the newcomer.
func (p *Probation) Tick() (giveWay bool) {
	if p.over {
		return false
	}
	p.ticks++
	for _, since := range p.rivals {
		giveWay = giveWay || p.ticks-since >= p.patience
	}
	return giveWay
}

// Over says whether the process may take part, and stays true once it was. others are the
// members as far as they are known, complete that the whole log was read to find them.
func (p *Probation) Over(others iter.Seq[uint64], complete bool) bool {
	if p.over || len(p.rivals) > 0 || !complete {
		return p.over
	}
	all := true
	for member := range others {
		all = all && p.welcomed[member]
	}
	p.over = all || p.ticks-p.quietSince >= p.quiet
	return p.over
}
