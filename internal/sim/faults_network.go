package sim

import (
	"context"
	"slices"
	"sync"
	"time"
)

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

// partitionOneWay cuts random links in one direction.
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
	return func() { s.resetWeather(w) }
}

func handOver(s *Sim, f *fault) func() {
	now, cancel := context.WithCancel(context.Background())
	cancel() // nobody waits for the transfer
	for _, m := range s.leaders() {
		if m.life.machine != nil {
			m.life.machine.HandOver(now)
		}
	}
	return nil
}

// leadershipGoesRound has leader after leader hand over, while forwarded proposals are
// delayed for longer than a leader lasts.
func leadershipGoesRound(s *Sim, f *fault) func() {
	w := weather{delay: time.Millisecond << f.rnd.IntN(6), forwards: 2 * election}
	s.network.weather = w
	until := s.now + 5*election
	var next func()
	next = func() {
		if s.now >= until {
			s.resetWeather(w)
			return
		}
		handOver(s, f)
		s.after(time.Duration(f.rnd.Int64N(int64(election/2))), next)
	}
	next()
	return nil
}

// resetWeather restores the usual weather, unless another fault has changed it meanwhile.
func (s *Sim) resetWeather(from weather) {
	if s.network.weather == from {
		s.network.weather = s.shape.weather
	}
}

// deathAfterVoting cuts the leader off. A machine that then gets a vote request is killed
// soon after, and comes back in a partition with the old leader and without the candidate.
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
					for _, other := range slices.Concat(old, []*machine{voter}) {
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
