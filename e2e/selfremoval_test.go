package e2e

import "testing"

// TestLeaderIsRemoved removes the leader of two machines: the remaining one serves alone at
// once.
func TestLeaderIsRemoved(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	leader := c.leader()
	left := c.others(leader)[0]
	left.event(post("/v1/keys/before", "value", "1"))
	c.remove(leader, left)
	left.event(post("/v1/keys/after", "value", "2"))
	if next := c.leader(); next != left {
		t.Errorf("%s leads", next.name)
	}
}
