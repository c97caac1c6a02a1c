package e2e

import (
	"strings"
	"testing"
)

// TestKilledLeaderIsSucceeded: nobody waits for the election timeout when the leader's process
// has died and its host says so.
func TestKilledLeaderIsSucceeded(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "100ms", "-election", "5s")
	old := c.leader()
	old.kill()
	for _, s := range c.others(old) {
		waitUntil(t, s.name+" takes writes", func() bool {
			answer, err := exchange(s.client, post("/v1/keys/after", "value", s.name))
			return err == nil && answer.status == 200
		})
	}
	knew := false
	for _, s := range c.others(old) {
		knew = knew || strings.Contains(s.proc.stderr(), "nothing listens any more where the leader was")
	}
	if !knew {
		t.Error("the others have waited for the election timeout")
	}
}
