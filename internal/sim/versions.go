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

// Machines of different versions: the older program understands clusters of version 1 only.
// Otherwise it is the same program, so the simulation ends it where it would not understand.

var olderCommands = versions.Range{Min: 1, Max: 1}

func (m *machine) commands() versions.Range {
	if m.older {
		return olderCommands
	}
	return store.Commands
}

// upgrade restarts machines with the present program.
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

// downgrade restarts machines with the older program, which is allowed until the version of
// the cluster is raised.
func downgrade(s *Sim, f *fault) func() {
	if s.oracle.raised || s.oracle.store.Version() != olderCommands.Max {
		return nil
	}
	s.count("machine downgraded")
	return s.down(s.some(f.rnd, 1), func(m *machine) {
		m.older = true
		m.kill()
	})
}

// endOutdated ends a process whose program is too old for the cluster. The operator starts the
// present one.
func (l *life) endOutdated(where string) {
	l.sim.count("older program refused: " + where)
	l.m.older = false
	l.exit()
}

// noticeTime is how long a process with the older program must have run for a leader to know: before
// that the leader may take it for the process before it.
const noticeTime = 2 * election

// raises records an entry that gives the cluster a version. Its proposer must have heard from
// all members that they understand it.
func (o *oracle) raises(by *life, to uint32) {
	if to <= olderCommands.Max {
		return
	}
	if !o.raised {
		o.sim.count("version raised")
		for _, m := range o.sim.machines {
			l := m.life
			if l != nil && l != by && l.older && l.machine != nil && l.sim.now-l.started > noticeTime && slices.Contains(o.raft, m.memberID) {
				o.sim.fail("%s raises the version to %d although %s, which has run for %s, does not understand it", by, to, l, (l.sim.now - l.started).Round(time.Millisecond))
			}
		}
	}
	o.raised = true
}

// checkVersion checks that an entry needs no later version than the cluster has before it, and returns
// its command.
func (o *oracle) checkVersion(e *raftnode.Entry) *storepb.Command {
	c := new(storepb.Command)
	if err := proto.Unmarshal(e.Command, c); err != nil {
		o.sim.fail("entry %d: %v", e.Index, err)
		return c
	}
	needs := uint32(1)
	if c.GetSetMember().GetUnderstands() != nil || c.GetConfigure().GetMaxMembers() > 0 {
		needs = store.VersionOfVersions
	}
	if c.GetAuth() != nil || c.GetChecked() > 0 {
		needs = store.VersionOfV2
	}
	if c.GetSetQuota() != nil {
		needs = store.VersionOfLimits
	}
	if isOfKeyspace(c) {
		needs = store.VersionOfV3
	}
	if has := max(o.store.Version(), 1); needs > has {
		o.sim.fail("entry %d needs version %d, and the cluster has %d", e.Index, needs, has)
	}
	return c
}

// observeRaise looks for a raised version in entries that a machine appends.
func (o *oracle) observeRaise(l *life, m *raftnode.Append) {
	for command := range raftnode.Commands(m.Entries) {
		given := store.VersionOf(command)
		if given == 0 {
			continue
		}
		o.raises(l, given)
		if l.older && given > olderCommands.Max && !o.sim.failed() {
			l.endOutdated("an entry")
		}
	}
}

// refusedVersion reports whether a machine must stop because its program is too old, and
// upgrades it if so.
func (o *operator) refusedVersion(m *machine, d actors.Departure) bool {
	if !m.older || d.Removed || d.Lost || !o.sim.oracle.raised {
		return false
	}
	m.life.endOutdated("a handshake")
	return true
}
