package sim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// fault is something bad that is done to the cluster, or something that its operator
// does at a bad time. A run has a list of them, made before it begins; each has random
// numbers of its own, so that leaving one out does not change the others.
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

// faultKind is what can happen. begin returns what ends it, nil if nothing has to.
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
	{"machine added", 4, addMachine},
	{"machine removed", 4, removeMachine},
	{"leader hands over", 4, handOver},
	{"leadership goes round", 4, leadershipGoesRound},
	{"death after voting", 4, deathAfterVoting},
	{"clocks change", 2, changeClocks},
}

// plan makes the faults of a run.
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

// schedule has the faults happen.
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

// some are up to n machines that belong to the cluster.
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

// leaders are the machines that think they lead.
func (s *Sim) leaders() []*machine {
	var leaders []*machine
	for _, m := range s.machines {
		if m.life != nil && m.life.leads {
			leaders = append(leaders, m)
		}
	}
	return leaders
}

// down ends processes in some way and keeps them down.
func (s *Sim) down(machines []*machine, stop func(*machine)) func() {
	for _, m := range machines {
		m.keepDown()
		stop(m)
	}
	return func() {
		for _, m := range machines {
			m.letUp()
		}
	}
}

func cutPower(f *fault) func(*machine) { return func(m *machine) { m.cutPower(f.rnd) } }

// cutWhileWriting cuts the power at one of the next operations of a disk, be it now or
// when the machine starts.
func cutWhileWriting(s *Sim, f *fault) func() {
	for _, m := range s.some(f.rnd, 1) {
		if f.rnd.IntN(2) == 0 {
			m.kill()
		}
		m.disks.cutAt, m.disks.cutRnd = 1+f.rnd.IntN(12), f.rnd
	}
	return nil
}

// partition divides the machines into two groups.
func partition(s *Sim, f *fault) func() {
	var heal []func()
	group := make(map[*machine]bool)
	for _, m := range s.machines {
		group[m] = f.rnd.IntN(2) == 0
	}
	for _, a := range s.machines {
		for _, b := range s.machines {
			if group[a] != group[b] {
				heal = append(heal, s.network.sever(a, b))
			}
		}
	}
	return all(heal)
}

// partitionOneWay keeps some machines from sending to some others.
func partitionOneWay(s *Sim, f *fault) func() {
	var heal []func()
	for _, a := range s.machines {
		for _, b := range s.machines {
			if a != b && f.rnd.IntN(3) == 0 {
				heal = append(heal, s.network.sever(a, b))
			}
		}
	}
	return all(heal)
}

func (s *Sim) isolate(machines []*machine, in, out bool) func() {
	var heal []func()
	for _, a := range machines {
		for _, b := range s.machines {
			if a != b && out {
				heal = append(heal, s.network.sever(a, b))
			}
			if a != b && in {
				heal = append(heal, s.network.sever(b, a))
			}
		}
	}
	return all(heal)
}

func all(list []func()) func() {
	return func() {
		for _, f := range list {
			f()
		}
	}
}

func badWeather(s *Sim, f *fault) func() {
	w := weather{
		delay: time.Millisecond << f.rnd.IntN(10),
		lose:  f.rnd.Float64() * 0.4, twice: f.rnd.Float64() * 0.2, stray: f.rnd.Float64() * 0.2,
	}
	s.network.weather = w
	return func() { s.clearUp(w) }
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

func slowDisk(s *Sim, f *fault) func() {
	machines := s.some(f.rnd, 1+f.rnd.IntN(3))
	for _, m := range machines {
		m.disks.slow = 20 * time.Millisecond << f.rnd.IntN(8)
	}
	return func() {
		for _, m := range machines {
			m.disks.slow = 0
		}
	}
}

func fullDisk(s *Sim, f *fault) func() {
	machines := s.some(f.rnd, 1)
	for _, m := range machines {
		m.disks.full = true
	}
	return func() {
		for _, m := range machines {
			m.disks.full = false
		}
	}
}

func failingSync(s *Sim, f *fault) func() {
	machines := s.some(f.rnd, 1+f.rnd.IntN(2))
	for _, m := range machines {
		m.disks.failSync = true
	}
	return func() {
		for _, m := range machines {
			m.disks.failSync = false
		}
	}
}

// flippedBits damages the files of a machine that is down. If it cannot start from
// them, it has lost its disk, so there must be no other such machine.
func flippedBits(s *Sim, f *fault) func() {
	s.sacrifice(f, func(m *machine) {
		m.kill()
		for range 1 + f.rnd.IntN(3) {
			m.flip(f.rnd)
		}
		s.operator.busy = false
	})
	return nil
}

// lostDisk takes the data of a machine away.
func lostDisk(s *Sim, f *fault) func() {
	s.sacrifice(f, func(m *machine) {
		s.count("disk lost")
		m.kill()
		m.damaged = true
		s.operator.busy = false
		s.operator.replace(m)
	})
	return nil
}

// sacrifice finds a machine that the cluster can lose for good: all others have what
// was acknowledged, and are enough to remove it.
func (s *Sim) sacrifice(f *fault, lose func(m *machine)) {
	asked := s.anyReady(f.rnd)
	if s.operator.busy || asked == nil || s.anyDamaged() {
		return
	}
	s.operator.busy = true
	asked.session.sync(clientPatience, func(synced *syncedReply) {
		if synced == nil || synced.Err != nil || asked.dead {
			s.operator.busy = false
			return
		}
		asked.session.status(clientPatience, func(status *statusReply) {
			if status == nil || len(status.Members)-len(status.Raft.Learners) < 3 || s.anyDamaged() {
				s.operator.busy = false
				return
			}
			if machines := s.some(f.rnd, 1); len(machines) == 1 && machines[0].memberID != 0 {
				lose(machines[0])
				return
			}
			s.operator.busy = false
		})
	})
}

// anyDamaged says whether some machine has lost its disk, or may have.
func (s *Sim) anyDamaged() bool {
	for _, m := range s.machines {
		if m.damaged || len(m.disks.flipped) > 0 {
			return true
		}
	}
	return false
}

func addMachine(s *Sim, f *fault) func() {
	if s.operator.busy || s.memberCount() >= maxMembers {
		return nil
	}
	s.operator.busy = true
	s.operator.add(func() { s.operator.busy = false })
	return nil
}

func removeMachine(s *Sim, f *fault) func() {
	if s.operator.busy || s.memberCount() < 2 {
		return nil
	}
	if machines := s.some(f.rnd, 1); len(machines) == 1 && machines[0].memberID != 0 {
		s.operator.busy = true
		s.operator.remove(machines[0], func() { s.operator.busy = false })
	}
	return nil
}

func (s *Sim) memberCount() (n int) {
	for _, m := range s.machines {
		if m.member && !m.leaving {
			n++
		}
	}
	return n
}

func handOver(s *Sim, f *fault) func() {
	for _, m := range s.leaders() {
		if m.life.machine != nil {
			m.life.machine.HandOver(over)
		}
	}
	return nil
}

// changeClocks sets the wall clocks of machines. A running process does not notice; it
// is killed, so that the next one does.
func changeClocks(s *Sim, f *fault) func() {
	return s.down(s.some(f.rnd, 1+f.rnd.IntN(2)), func(m *machine) {
		m.skew = s.skew(f.rnd)
		m.kill()
	})
}

// leadershipGoesRound has leader after leader hand over, while proposals that were
// forwarded to each of them take their time.
func leadershipGoesRound(s *Sim, f *fault) func() {
	w := weather{delay: time.Millisecond << f.rnd.IntN(6), forwards: 2 * election}
	s.network.weather = w
	until := s.now + 5*election
	var next func()
	next = func() {
		if s.now >= until {
			s.clearUp(w)
			return
		}
		handOver(s, f)
		s.after(time.Duration(f.rnd.Int64N(int64(election/2))), next)
	}
	next()
	return nil
}

// clearUp brings the usual weather back, unless it has changed again.
func (s *Sim) clearUp(from weather) {
	if s.network.weather == from {
		s.network.weather = s.shape.weather
	}
}

// deathAfterVoting cuts the leader off. Whoever then is asked for its vote dies soon
// after, and comes back where it finds the old leader and not the new one.
func deathAfterVoting(s *Sim, f *fault) func() {
	old := s.leaders()
	together := sync.OnceFunc(s.isolate(old, true, true))
	var heal []func()
	s.voted = func(voter *machine, candidate uint64) {
		l := voter.life
		s.after(time.Duration(f.rnd.Int64N(int64(100*time.Millisecond))), func() {
			if voter.life != l || voter.wantDown > 0 || voter.damaged || l.paused {
				return
			}
			s.count("killed after voting")
			together()
			for _, m := range s.machines {
				if m.memberID == candidate {
					for _, other := range append(old, voter) {
						heal = append(heal, s.network.sever(other, m), s.network.sever(m, other))
					}
				}
			}
			back := s.down([]*machine{voter}, (*machine).kill)
			s.after(time.Duration(f.rnd.Int64N(int64(3*election))), back)
		})
	}
	s.after(8*election, func() {
		s.voted = nil
		together()
		all(heal)()
	})
	return nil
}
