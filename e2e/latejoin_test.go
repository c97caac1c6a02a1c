package e2e

import (
	"slices"
	"testing"
)

// write creates n keys through one member, with several clients at once.
func (c *cluster) write(s *server, n int) {
	c.t.Helper()
	p := startPressure(c.t, s, 8)
	p.wait(n, catchupLimit)
	p.end()
}

// grow starts one more machine, which joins through a running member, and waits until it is a
// voter.
func (c *cluster) grow(ask *server) *server {
	c.t.Helper()
	s := c.newMember()
	s.args = append(s.args, "-C", ask.peer)
	s.start()
	c.members = append(c.members, s)
	return s
}

// TestJoinAfterCompaction: a machine that joins after the log was compacted gets a snapshot,
// which has to contain it as a member; also when the log in memory begins right at a snapshot
// because all machines were restarted.
func TestJoinAfterCompaction(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, "-snapshot-count", "300")
	c.write(c.members[0], 7000) // more than stays in memory after a snapshot
	c.grow(c.members[0])
	c.waitVoters()
	c.checkSameState()

	for _, s := range c.members {
		s.stop()
	}
	c.start(c.members...)
	c.grow(c.members[1])
	c.waitVoters()
	c.checkSameState()
}

// TestUnknownLeader: a machine restarts and its leader is one that joined while it
// was down, so that it can learn of the leader only from the leader.
func TestUnknownLeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "20ms", "-election", "200ms")
	absent := c.follower()
	absent.kill()
	newcomer := c.grow(c.others(absent)[0])
	waitUntil(t, "the newcomer has a vote", func() bool {
		list, err := newcomer.list()
		return err == nil && len(list) == 4 && !slices.ContainsFunc(list, func(m clusterMember) bool { return m.Learner })
	})
	// The quorum is three of four, so when the leader is killed the next one is elected
	// once it is back: any of the three, until it is the new machine.
	waitUntil(t, "the newcomer leads", func() bool {
		leader := c.leader(c.others(absent)...)
		if leader != newcomer {
			leader.kill()
			leader.start()
		}
		return leader == newcomer
	})
	absent.start() // returns when it serves, for which it has to catch up
	absent.event(get("/v1/keys/_etcd/machines/" + newcomer.name))
	c.checkSameState()
}
