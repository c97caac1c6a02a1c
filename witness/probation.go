package witness

import "iter"

// Probation is the time after a start in which a process neither votes nor acks. It ends when
// every other member has welcomed it; or, because some may be down, after a while in which
// none of those that answered objected. Without it a member that has lost data could vote
// before a peer that remembers more has answered.
type Probation struct {
	quiet, patience int
	ticks           int
	quietSince      int // tick since which nobody objects
	over            bool
	welcomed        map[uint64]bool
	rivals          map[uint64]int // members that are connected to another process, and the tick at which they first said so
}

// NewProbation begins the probation of a process. It lasts quiet ticks if some members do not
// answer. patience is for how many ticks a rival may stay connected before this process gives
// way: longer than it takes to notice that a process is dead. A process with an empty log has
// lost nothing and is not on probation.
func NewProbation(quiet, patience int, empty bool) *Probation {
	return &Probation{quiet: quiet, patience: patience, over: empty, welcomed: map[uint64]bool{}, rivals: map[uint64]int{}}
}

// Welcomed notes that a member has welcomed this process.
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

// Unreachable notes that a member no longer answers.
func (p *Probation) Unreachable(member uint64) { p.forget(member) }

func (p *Probation) forget(rival uint64) {
	if _, known := p.rivals[rival]; known {
		delete(p.rivals, rival)
		p.quietSince = p.ticks
	}
}

// Tick advances time by one tick. It reports whether the process has to give way to a rival,
// which it does only on probation: of the two it is the newcomer.
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

// Over reports whether probation is over, and stays true once it was. others are the known
// members; complete says that the whole log was read to find them.
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
