package sim

import (
	"errors"
	"fmt"
	"time"

	"etcd/actors"
	"etcd/internal/history"
	"etcd/store"
)

// calmDown ends all faults and lets clients go on for a while. Faults that still last end
// by themselves later, which then changes nothing.
func (s *Sim) calmDown() {
	s.count("calm")
	s.network.weather = weather{delay: time.Millisecond}
	clear(s.network.cut)
	s.voted = nil
	for _, m := range s.machines {
		m.disks.slow, m.disks.full, m.disks.failSync, m.disks.cutAt = 0, false, false, 0
		m.wantDown = 0
		if m.life != nil && m.life.paused {
			m.life.proceed()
		}
		if m.older {
			m.older = false
			m.kill()
		}
	}
	s.run(s.now+3*time.Second, s.failed)
	s.quiet = true
}

// finish waits until the cluster has converged, and judges the whole run.
func (s *Sim) finish() {
	limit := s.now + patience
	what := s.unsettled()
	for ; what != "" && !s.failed() && s.now < limit; what = s.unsettled() {
		s.run(s.now+100*time.Millisecond, s.failed)
	}
	if what != "" {
		s.fail("not converged %v after all faults ended: %s", patience, what)
	}
	s.compareAll()
	for range 5 { // the last machine that joined may be promoted meanwhile
		if s.oracle.disagreement == "" || s.failed() {
			break
		}
		s.run(s.now+election, s.failed)
		s.oracle.voters, s.oracle.disagreement = nil, ""
		s.compareAll()
	}
	if s.oracle.disagreement != "" {
		s.fail("%s", s.oracle.disagreement)
	}
	if s.failed() {
		return
	}
	switch err := history.Check(s.operations); {
	case errors.Is(err, history.ErrUndecided):
		s.count("history too long to judge")
	case err != nil:
		s.fail("%v", err)
	}
}

// unsettled returns what has not converged yet although all faults have ended; "" if
// everything has.
func (s *Sim) unsettled() string {
	for _, m := range s.machines {
		switch {
		case m.removed && m.life != nil:
			return m.name + " was removed and still runs"
		case m.removed || !m.member:
		case m.restored:
			return m.name + " has a restored disk and was not replaced"
		case m.damaged:
			return m.name + " has lost its disk and was not replaced"
		case m.life == nil || !m.life.ready():
			return m.name + " is not ready"
		case m.life.position < len(s.oracle.log) && s.oracle.log[len(s.oracle.log)-1].index > m.life.snapshotIndex:
			return m.name + " has not caught up"
		}
	}
	if s.oracle.store.Version() != store.Commands.Max {
		return fmt.Sprintf("the cluster has version %d although all understand %d", s.oracle.store.Version(), store.Commands.Max)
	}
	if s.oracle.stale() {
		return "a key is overdue"
	}
	if s.operator.busy {
		return "the operator is not done with a conf change"
	}
	for _, c := range s.clients {
		if c.pending {
			return "a request is still in flight"
		}
	}
	for _, w := range s.watchers {
		if w.behind() {
			return fmt.Sprintf("a watcher of %s on %v from %d on has not seen event %d", w.path, w.life, w.next, s.oracle.events[w.read].Index)
		}
	}
	return ""
}

// compareAll compares the complete state and the membership of all machines.
func (s *Sim) compareAll() {
	waiting := 0
	for _, m := range s.machines {
		l := m.life
		if m.removed || l == nil || !l.ready() {
			continue
		}
		waiting++
		l.session.sync(clientPatience, func(synced *actors.Synced) {
			if synced == nil || synced.Err != nil {
				s.fail("%s fails a sync at the end: %+v", l, synced)
				return
			}
			l.session.freeze(clientPatience, func(frozen *actors.Frozen) {
				if frozen == nil {
					s.fail("%s does not answer with its state at the end", l)
					return
				}
				s.oracle.final(l, frozen.State)
				l.session.status(clientPatience, func(status *actors.StatusReply) {
					s.oracle.members(l, status)
					waiting--
				})
			})
		})
	}
	s.run(s.now+clientPatience+time.Second, func() bool { return s.failed() || waiting == 0 })
}
