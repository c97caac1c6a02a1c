package raftnode_test

import (
	"strings"
	"testing"
	"testing/cryptotest"

	"pgregory.net/rapid"

	"etcd/raftnode"
)

// mishaps draws the next event in a cluster.
type mishaps struct {
	*cluster
	rt      *rapid.T
	removed bool // a removal has been proposed
}

func (m *mishaps) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(m.rt, what) }

func (m *mishaps) anyUp() *server {
	if up := m.up(); len(up) > 0 {
		return up[m.draw(len(up), "machine")]
	}
	return nil
}

// packets draws some of the packets in flight.
func (m *mishaps) packets(do func(p *packet)) {
	for n := m.draw(8, "packets"); n > 0 && len(m.net) > 0; n-- {
		do(m.take(m.draw(len(m.net), "packet")))
	}
}

// startJoined starts the machines whose join is in the log and that have not been started yet.
func (m *mishaps) startJoined() {
	for _, s := range m.servers {
		if s.lives > 0 {
			continue
		}
		for command := range m.where {
			if strings.HasPrefix(command, changeVerb(raftnode.KindAdd)+memberName(s.id)) {
				s.start()
				break
			}
		}
	}
}

// happen draws and does one step of a machine or the network.
func (m *mishaps) happen() {
	s := m.anyUp()
	if s == nil {
		m.restartAll()
		return
	}
	switch m.draw(26, "what") {
	case 0, 1, 2:
		s.propose()
	case 3, 4:
		s.read()
	case 5, 6, 7:
		s.work()
	case 8:
		s.sync(m.draw(len(s.wal)+1, "writes"))
	case 9:
		s.apply(m.draw(len(s.store)+1, "runs"))
	case 10, 11:
		m.packets(m.deliver)
	case 12:
		m.packets(m.lose)
	case 13: // the network duplicates
		m.packets(func(p *packet) {
			m.deliver(p)
			m.deliver(p)
		})
	case 14:
		m.packets(func(p *packet) {
			if from := m.sender(p); from == nil || p.forward == nil {
				m.deliver(p)
			} else if err := from.node.Undelivered(p.forward); err != nil {
				m.t.Fatalf("%v", err)
			}
		})
	case 15:
		m.isolate(s)
	case 16:
		m.cut[[2]uint64{s.id, m.servers[m.draw(len(m.servers), "other")].id}] = true
	case 17:
		m.heal()
	case 18:
		s.crash(m.draw(len(s.wal)+1, "writes that are durable all the same"))
	case 19:
		m.restartAll()
	case 20:
		s.node.Transfer()
	case 21:
		s.tick(m.draw(15, "ticks"))
	case 22:
		m.change(s)
	case 25:
		s.skew = int64(m.draw(5, "hours")-2) * hour
	case 23:
		for _, s := range m.up() {
			s.work()
			if s.maySnapshot() {
				s.saveSnapshot()
			}
		}
	case 24:
		m.reconnect()
	}
}

// reconnect gives all machines new streams, as after a disconnect.
func (m *mishaps) reconnect() {
	for _, s := range m.up() {
		for _, other := range m.servers {
			if other != s {
				s.node.Reconnected(other.id)
			}
		}
	}
}

// change proposes to add a machine, to add one again, or, once, to remove one.
func (m *mishaps) change(s *server) {
	switch n := len(m.servers); {
	case n < 5 && m.draw(2, "new") == 0:
		s.change(raftnode.KindAdd, m.joiner().id)
	case n > 3 && !m.removed && m.draw(2, "remove") == 0:
		m.removed = true
		s.change(raftnode.KindRemove, uint64(m.draw(n, "member")+1))
	default:
		s.change(raftnode.KindAdd, uint64(m.draw(n, "member")+1))
	}
}

func (m *mishaps) restartAll() {
	for _, s := range m.servers {
		if s.node == nil && !s.removed && s.lives > 0 {
			s.start()
		}
	}
}

// stopRemoved stops the machines that were removed.
func (m *mishaps) stopRemoved() {
	for _, s := range m.servers {
		for command := range m.where {
			if strings.HasPrefix(command, changeVerb(raftnode.KindRemove)+memberName(s.id)) {
				s.removed, s.node = true, nil
			}
		}
	}
}

// Whatever happens to any machine and the network, in any order: nothing acknowledged is
// lost, every command is applied at most once and in the same order everywhere, reads are
// linearizable, no term has two leaders, and every request is answered once and in time.
// The cluster checks all of it. Once everything is healed, requests succeed again and all
// machines agree on the voters.
func TestClusterLosesNoAckedWrite(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cryptotest.SetGlobalRandom(t, rapid.Uint64().Draw(rt, "election timeouts"))
		c := grown(rt, rapid.SampledFrom([]int{3, 3, 3, 2, 5}).Draw(rt, "machines"), func(c *raftnode.Config) {
			c.SnapshotEntries = rapid.SampledFrom([]uint64{0, 4, 12}).Draw(rt, "snapshot entries")
			c.SnapshotBytes = 1 << 20
			c.MaxInMemory = rapid.SampledFrom([]int{0, 400, 2000}).Draw(rt, "bytes in memory")
		})
		m := &mishaps{cluster: c, rt: rt}
		for range rapid.IntRange(1, 20).Draw(rt, "rounds") {
			for range rapid.IntRange(1, 25).Draw(rt, "events") {
				m.happen()
				m.startJoined()
			}
			switch m.draw(3, "rest") {
			case 0:
				m.settle()
			case 1:
				m.pass(m.draw(25, "ticks"))
			}
		}
		m.heal()
		m.restartAll()
		m.reconnect()
		for range 100 {
			m.startJoined()
			m.stopRemoved()
			m.pass(1)
		}
		for _, s := range m.up() {
			if len(s.open) > 0 {
				rt.Fatalf("%d requests of %x get no answer", len(s.open), s.id)
			}
			write, read := s.propose(), s.read()
			m.pass(2)
			m.wantDone(write, read)
		}
		m.pass(2)
		m.wantSame()
		m.wantNothingHeld()
		m.wantVoters(m.leader().node.Status().Voters...)
		for ticket, answer := range m.answers {
			if ticket.command != "" && answer.err == nil && m.where[ticket.command] != answer.index {
				rt.Fatalf("%q was answered with entry %d, it is entry %d", ticket.command, answer.index, m.where[ticket.command])
			}
		}
	})
}
