package sim

import (
	"time"

	"etcd/actors"
	"etcd/wal"
	"etcd/wal/crashfs"
	"etcd/witness"
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

// flippedBits flips bits in the files of a machine that is down. If it cannot start from
// them, its disk is lost, so there must be no other such machine.
func flippedBits(s *Sim, f *fault) func() {
	s.sacrifice(f, s.any(f), func(m *machine) {
		m.kill()
		for range 1 + f.rnd.IntN(3) {
			m.flip(f.rnd)
		}
		s.operator.busy = false
	})
	return nil
}

// lostDisk wipes the disk of a machine.
func lostDisk(s *Sim, f *fault) func() {
	s.sacrifice(f, s.any(f), func(m *machine) {
		s.count("disk lost")
		m.kill()
		m.damaged = true
		s.operator.busy = false
		s.operator.replace(m)
	})
	return nil
}

// restoredDirectory replaces the data of a machine by a copy from the beginning of the fault,
// provided that all peers run and have records on disk that show the copy lacks something;
// nobody could tell otherwise. From then on the machine must not serve.
func restoredDirectory(s *Sim, f *fault) func() {
	m := s.any(f)()
	if m == nil || !m.served || len(m.disks.flipped) > 0 {
		return nil
	}
	m.kill()
	id, before := m.memberID, m.disk.Clone()
	return func() {
		s.after(catchUp, func() { // the machine may have to start first
			m.keepDown()
			m.kill()
			s.after(writtenDown, func() {
				m.allowUp()
				s.sacrifice(f, func() *machine {
					if s.quiet || m.memberID != id || m.leaving || !s.wouldMiss(m, before) {
						return nil
					}
					return m
				}, func(m *machine) {
					s.count("directory restored")
					m.kill()
					m.disk, m.disks, m.restored = before, diskFaults{}, true
					s.operator.busy = false
					if f.rnd.IntN(2) == 0 { // their records have to survive a restart, and another one may lead
						for _, other := range s.machines {
							other.kill()
						}
					}
				})
			})
		})
	}
}

// The machine needs time to acknowledge more than the copy has, and its peers to record
// that on disk.
const (
	catchUp     = 2 * time.Second
	writtenDown = 2500 * time.Millisecond
)

// wouldMiss reports whether all peers of m run, and their records on disk show that m has
// more than before, an older disk of it.
func (s *Sim) wouldMiss(m *machine, before *crashfs.Disk) bool {
	d, err := s.recoverable(before.Clone())
	if err != nil {
		return false
	}
	defer d.Close()
	if d.Alone() { // it would serve alone, as docs/operations.md says
		return false
	}
	for _, other := range s.machines {
		if other == m || !other.member {
			continue
		}
		if other.life == nil || !other.life.ready() {
			return false
		}
		book, err := witness.Load(other.life.disk, wal.Identity{ClusterID: s.founded, MemberID: other.memberID})
		record := book.Record(m.memberID)
		if err != nil || record.Term <= d.Reach().Term && record.Committed <= d.Reach().Last {
			return false
		}
	}
	return true
}

// any picks a machine that belongs to the cluster; nil if there is none.
func (s *Sim) any(f *fault) func() *machine {
	return func() *machine {
		if machines := s.some(f.rnd, 1); len(machines) == 1 && machines[0].memberID != 0 {
			return machines[0]
		}
		return nil
	}
}

// sacrifice finds a machine that the cluster can lose for good: all others have what was
// acknowledged, and are a quorum that can remove it. pick may return nil.
func (s *Sim) sacrifice(f *fault, pick func() *machine, lose func(m *machine)) {
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
			if m := pick(); m != nil {
				lose(m)
				return
			}
			s.operator.busy = false
		})
	})
}

// anyDamaged reports whether some machine has lost its disk, or may have.
func (s *Sim) anyDamaged() bool {
	for _, m := range s.machines {
		if m.damaged || m.restored || m.disks.doubtful || len(m.disks.flipped) > 0 {
			return true
		}
	}
	return false
}
