package sim

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	versions "etcd/version"
)

// Machines of different versions: an older program understands clusters of version 1 only. It
// is the same program otherwise, so what it would not understand ends it here.

var olderCommands = versions.Range{Min: 1, Max: 1}

func (m *machine) commands() versions.Range {
	if m.older {
		return olderCommands
	}
	return store.Commands
}

// upgrade starts machines again with the present program.
func upgrade(s *Sim, f *fault) func() {
	machines := s.some(f.rnd, 1+f.rnd.IntN(len(s.machines)))
	for _, m := range machines {
		if m.older {
			s.count("machine upgraded")
		}
	}
	return s.down(machines, func(m *machine) {
		m.older = false
		m.kill()
	})
}

// downgrade starts machines again with the older program, as one may as long as the version
// of the cluster is the older one.
func downgrade(s *Sim, f *fault) func() {
	if s.oracle.raised || s.oracle.store.Version() != olderCommands.Max {
		return nil
	}
	s.count("machine put back to an older program")
	return s.down(s.some(f.rnd, 1), func(m *machine) {
		m.older = true
		m.kill()
	})
}

// tooNew ends a process whose program is too old for the cluster. Its operator starts a newer
// one.
func (l *life) tooNew(where string) {
	l.sim.count("older program refused: " + where)
	l.m.older = false
	l.exit()
}

// knew is for how long a leader must have noticed that a machine runs an older program: before
// that it may take it for the process that was there before.
const knew = 2 * election

// raises notes an entry that gives the cluster a version. Whoever proposes it has heard from
// all members that they understand it.
func (o *oracle) raises(by *life, to uint32) {
	if to <= olderCommands.Max {
		return
	}
	if !o.raised {
		o.sim.count("version raised")
		for _, m := range o.sim.machines {
			l := m.life
			if l != nil && l != by && l.older && l.machine != nil && l.sim.now-l.started > knew && slices.Contains(o.raft, m.memberID) {
				o.sim.fail("%s raises the version to %d although %s, which has run for %s, does not understand it", by, to, l, (l.sim.now - l.started).Round(time.Millisecond))
			}
		}
	}
	o.raised = true
}

// checkVersion checks that nothing is in the log that the cluster's version before it does
// not have.
func (o *oracle) checkVersion(e *raftnode.Entry) {
	c := new(storepb.Command)
	if err := proto.Unmarshal(e.Command, c); err != nil {
		o.sim.fail("entry %d: %v", e.Index, err)
		return
	}
	needs := uint32(1)
	if c.GetSetMember().GetUnderstands() != nil || c.GetConfigure().GetMaxMembers() > 0 {
		needs = store.VersionOfVersions
	}
	if has := max(o.store.Version(), 1); needs > has {
		o.sim.fail("entry %d needs version %d, and the cluster has %d", e.Index, needs, has)
	}
}

// lookForRaise sees what is about to enter the log of a machine.
func (o *oracle) lookForRaise(l *life, m *raftnode.Append) {
	for command := range raftnode.Commands(m.Entries) {
		given := store.VersionGiven(command)
		if given == 0 {
			continue
		}
		o.raises(l, given)
		if l.older && given > olderCommands.Max && !o.sim.failed() {
			l.tooNew("an entry")
		}
	}
}

// refusedVersion says whether a machine must stop because its program is too old, which its
// operator mends.
func (o *operator) refusedVersion(m *machine, d actors.Departure) bool {
	if !m.older || d.Removed || d.Lost || !o.sim.oracle.raised {
		return false
	}
	m.life.tooNew("a handshake")
	return true
}
