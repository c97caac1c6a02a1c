package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// fault is something that fails in the cluster, or an operator's action at a bad time. A
// run plans all of them before it begins; each has random numbers of its own, so that
// leaving one out does not change the others.
type fault struct {
	number int
	at     time.Duration
	lasts  time.Duration
	kind   faultKind
	rnd    *rand.Rand
}

func (f *fault) String() string {
	return fmt.Sprintf("%d: %s at %.1fs for %.1fs", f.number, f.kind.name, f.at.Seconds(), f.lasts.Seconds())
}

// faultKind is a kind of fault. begin returns what ends the fault; nil if it ends by itself.
type faultKind struct {
	name   string
	weight int
	begin  func(s *Sim, f *fault) (end func())
}

var faultKinds = []faultKind{
	{"kill", 6, func(s *Sim, f *fault) func() { return s.down(s.some(f.rnd, 1), (*machine).kill) }},
	{"kill several", 2, func(s *Sim, f *fault) func() { return s.down(s.some(f.rnd, 2+f.rnd.IntN(2)), (*machine).kill) }},
	{"kill all", 1, func(s *Sim, f *fault) func() { return s.down(s.some(f.rnd, len(s.machines)), (*machine).kill) }},
	{"power cut", 6, func(s *Sim, f *fault) func() { return s.down(s.some(f.rnd, 1), cutPower(f)) }},
	{"power cut of all", 3, func(s *Sim, f *fault) func() { return s.down(s.some(f.rnd, len(s.machines)), cutPower(f)) }},
	{"power cut while writing", 6, cutWhileWriting},
	{"power cut after a kill", 5, cutAfterKill},
	{"power cut of the leader", 3, func(s *Sim, f *fault) func() { return s.down(s.leaders(), cutPower(f)) }},
	{"partition", 6, partition},
	{"partition, one way", 4, partitionOneWay},
	{"leader cut off", 4, func(s *Sim, f *fault) func() { return s.isolate(s.leaders(), true, true) }},
	{"leader hears nothing", 2, func(s *Sim, f *fault) func() { return s.isolate(s.leaders(), true, false) }},
	{"leader is not heard", 2, func(s *Sim, f *fault) func() { return s.isolate(s.leaders(), false, true) }},
	{"bad weather", 8, badWeather},
	{"pause", 5, func(s *Sim, f *fault) func() { return s.hold(s.some(f.rnd, 1)) }},
	{"pause of the leader", 3, func(s *Sim, f *fault) func() { return s.hold(s.leaders()) }},
	{"slow disk", 5, slowDisk},
	{"full disk", 4, fullDisk},
	{"failing fsync", 4, failingSync},
	{"flipped bits", 6, flippedBits},
	{"lost disk", 4, lostDisk},
	{"restored directory", 6, restoredDirectory},
	{"machine added", 4, addMachine},
	{"machine removed", 4, removeMachine},
	{"machine removed while it joins", 4, removeWhileJoining},
	{"leader hands over", 4, handOver},
	{"leadership goes round", 4, leadershipGoesRound},
	{"death after voting", 4, deathAfterVoting},
	{"clocks change", 4, changeClocks},
	{"all machines move", 1, moveAll},
	{"strangers", 4, strangers},
	{"machines upgraded", 6, upgrade},
	{"machine downgraded", 3, downgrade},
}

// plan chooses the faults of a run.
func plan(rnd *rand.Rand, from, until time.Duration, n int) []*fault {
	total := 0
	for _, k := range faultKinds {
		total += k.weight
	}
	faults := make([]*fault, n)
	for i := range faults {
		f := &fault{number: i, rnd: rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64()))}
		f.at = from + time.Duration(rnd.Int64N(int64(until-from)))
		f.lasts = time.Duration(rnd.Int64N(int64(100*time.Millisecond) << rnd.IntN(8)))
		dice := rnd.IntN(total)
		for _, k := range faultKinds {
			if dice -= k.weight; dice < 0 {
				f.kind = k
				break
			}
		}
		faults[i] = f
	}
	return faults
}

// schedule has each fault begin at its time.
func (s *Sim) schedule(faults []*fault) {
	for _, f := range faults {
		s.after(f.at-s.now, func() {
			s.scheduler.trace.step(s.now, "fault", f.kind.name)
			s.count("fault: " + f.kind.name)
			if end := f.kind.begin(s, f); end != nil {
				s.after(f.lasts, func() {
					s.scheduler.trace.step(s.now, "end", f.kind.name)
					end()
				})
			}
		})
	}
}

// some picks up to n machines that are members of the cluster.
func (s *Sim) some(rnd *rand.Rand, n int) []*machine {
	var all []*machine
	for _, m := range s.machines {
		if m.member && !m.leaving && !m.damaged {
			all = append(all, m)
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// leaders returns the machines that believe they lead.
func (s *Sim) leaders() []*machine {
	var leaders []*machine
	for _, m := range s.machines {
		if m.life != nil && m.life.leads {
			leaders = append(leaders, m)
		}
	}
	return leaders
}

// down ends processes with stop and keeps their machines down.
func (s *Sim) down(machines []*machine, stop func(*machine)) func() {
	for _, m := range machines {
		m.keepDown()
		stop(m)
	}
	return func() {
		for _, m := range machines {
			m.allowUp()
		}
	}
}

func cutPower(f *fault) func(*machine) { return func(m *machine) { m.cutPower(f.rnd) } }

// cutWhileWriting cuts the power at one of the next operations of a disk, while the
// machine runs or while it starts.
func cutWhileWriting(s *Sim, f *fault) func() {
	for _, m := range s.some(f.rnd, 1) {
		if f.rnd.IntN(2) == 0 {
			m.kill()
		}
		m.disks.cutAt, m.disks.cutRnd = 1+f.rnd.IntN(12), f.rnd
	}
	return nil
}

// cutAfterKill kills a process during a sync, and cuts the power once its successor has
// read what was never synced.
func cutAfterKill(s *Sim, f *fault) func() {
	for _, m := range s.some(f.rnd, 1) {
		m.disks.killAtSync = f.rnd
	}
	return nil
}

func (s *Sim) hold(machines []*machine) func() {
	var held []*life
	for _, m := range machines {
		if l := m.life; l != nil && !l.paused {
			l.pause()
			held = append(held, l)
		}
	}
	return func() {
		for _, l := range held {
			l.proceed()
		}
	}
}

func addMachine(s *Sim, f *fault) func() {
	if s.founded != 0 && s.memberCount() < maxMembers {
		s.operator.add(func() {}) // also while another conf change is in flight
	}
	return nil
}

func removeMachine(s *Sim, f *fault) func() {
	if s.operator.busy || s.anyDamaged() || s.memberCount() < 2 {
		return nil // the remaining quorum must not depend on a machine that has lost its disk
	}
	if machines := s.some(f.rnd, 1); len(machines) == 1 { // it may be joining
		s.operator.busy = true
		s.operator.remove(machines[0], func() { s.operator.busy = false })
	}
	return nil
}

// removeWhileJoining adds a machine that sends its join to several members, again and
// again, and removes it meanwhile.
func removeWhileJoining(s *Sim, f *fault) func() {
	if s.operator.busy || s.anyDamaged() || s.founded == 0 || s.memberCount() >= maxMembers {
		return nil
	}
	s.operator.busy = true
	m := s.operator.add(func() {})
	for range 2 + f.rnd.IntN(8) {
		s.after(time.Duration(f.rnd.Int64N(int64(election/2))), func() { s.operator.retryJoin(m) })
	}
	s.after(time.Duration(f.rnd.Int64N(int64(election/2))), func() {
		s.operator.remove(m, func() { s.operator.busy = false })
	})
	return nil
}

// moveAll gives every machine another address while it is down, and a hint where one of
// its peers is then, in a circle. It does so with removed machines as well that may not
// know of their removal yet: left behind they would never learn of it.
func moveAll(s *Sim, f *fault) func() {
	members := s.some(f.rnd, len(s.machines))
	if len(members) == 0 {
		return nil
	}
	machines := members
	for _, m := range s.machines {
		if m.leaving {
			machines = append(machines, m)
		}
	}
	for i, m := range machines {
		m.hint = members[(i+1)%len(members)]
	}
	return s.down(machines, func(m *machine) {
		m.kill()
		m.moves++
	})
}

func (s *Sim) memberCount() (n int) {
	for _, m := range s.machines {
		if m.member && !m.leaving {
			n++
		}
	}
	return n
}

// changeClocks sets the wall clocks of machines: of processes that run or, because these
// go on by the time of the log, of machines that start with the wrong clock.
func changeClocks(s *Sim, f *fault) func() {
	machines := s.some(f.rnd, 1+f.rnd.IntN(len(s.machines)))
	for _, m := range machines {
		m.skew = s.skew(f.rnd)
	}
	if f.rnd.IntN(2) == 0 {
		return nil
	}
	return s.down(machines, (*machine).kill)
}
