package sim

import (
	"time"

	"etcd/actors"
)

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
	asked.session.sync(clientPatience, func(synced *actors.Synced) {
		if synced == nil || synced.Err != nil || asked.dead {
			s.operator.busy = false
			return
		}
		asked.session.status(clientPatience, func(status *actors.StatusReply) {
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
