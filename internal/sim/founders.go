package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"etcd/actors"
	"etcd/bootstrap"
	"etcd/store"
	"etcd/wal"
)

// Machines that found a cluster together.

// lateFounder is until when the last founder starts: after the first faults.
const lateFounder = 8 * time.Second

var errBootstrapped = errors.New("its peers know it, and its disk is empty")

// foundTogether starts machines that found the cluster together, one after the other, some of them
// late. They crash while they do it.
func (s *Sim) foundTogether() {
	var list []string
	for range s.shape.machines {
		m := s.newMachine()
		list = append(list, m.name+"="+m.asMember().PeerURL)
	}
	founders, err := bootstrap.Parse(strings.Join(list, ","), fmt.Sprint(s.identity.Uint64()))
	if err != nil {
		panic(err)
	}
	s.founders, s.founded = founders, founders.ID
	waiting := len(s.machines)
	for _, m := range s.machines {
		own, _ := founders.Named(m.name)
		m.memberID, m.founder = own.ID, true
		delay := time.Duration(s.workload.Int64N(int64(time.Second)))
		if s.workload.IntN(4) == 0 {
			s.count("founder comes late")
			delay = time.Duration(s.workload.Int64N(int64(lateFounder)))
		}
		s.after(delay, func() { s.startFounder(m) })
		s.operator.await(m, func() {
			if waiting--; waiting == 0 {
				s.operator.busy = false
			}
		})
	}
}

// startFounder starts a founder, and may end it again before it has got far.
func (s *Sim) startFounder(m *machine) {
	m.member = true
	m.start(s.establish)
	if s.workload.IntN(2) == 0 {
		return
	}
	s.after(time.Duration(s.workload.Int64N(int64(50*s.shape.sync))), func() {
		s.count("founder crashes while it founds")
		if s.workload.IntN(2) == 0 {
			m.kill()
			return
		}
		m.cutPower(s.workload)
	})
}

// found gives the empty disk of a founder its identity, once a majority of the founders is there and
// none of them knows it, as package peerfront does.
func (s *Sim) found(l *life, disk *actors.Disk) error {
	task := s.current
	for 2*s.foundersUp() <= len(s.founders.Members) {
		task.sleep(election)
	}
	for _, other := range s.machines {
		if other.life == nil || other.life == l || other.life.machine == nil {
			continue
		}
		if known, _ := other.life.machine.Inbox.HasRun(l.m.memberID); known {
			return errBootstrapped
		}
	}
	s.count("founder has agreed with the others")
	return disk.Create(wal.Identity{ClusterID: s.founders.ID, MemberID: l.m.memberID})
}

func (s *Sim) foundersUp() (up int) {
	for _, m := range s.machines {
		if m.life != nil && m.founder {
			up++
		}
	}
	return up
}

// founders returns those with which a machine begins its log; none if it has joined or founds the
// cluster alone.
func (m *machine) founders() []store.Member {
	if !m.founder {
		return nil
	}
	return m.sim.founders.Members
}

// history is how many events this machine wants a new cluster to keep. Those of founders differ: the
// first leader decides.
func (m *machine) history() uint32 {
	if m.founder {
		return m.sim.shape.history + uint32(m.slot)
	}
	return m.sim.shape.history
}
