package e2e

import (
	"slices"
	"strings"
	"testing"

	"etcd/internal/freeport"
)

// moveTo gives a stopped machine new addresses, and the addresses of others as hints.
func (s *server) moveTo(client, peer string, hints ...string) {
	s.client, s.peer = client, peer
	s.args = slices.DeleteFunc(slices.Clone(s.args), func(arg string) bool { return arg == "-C" || strings.HasPrefix(arg, "127.0.0.1:") })
	if len(hints) > 0 {
		s.args = append(s.args, "-C", strings.Join(hints, ","))
	}
}

// checkAddresses waits until all machines know the addresses of all.
func (c *cluster) checkAddresses() {
	c.t.Helper()
	for _, s := range c.members {
		waitUntil(c.t, s.name+" knows all addresses", func() bool {
			return sameElements(strings.Split(s.do(get("/machines")).body, ","), c.addresses())
		})
	}
}

// TestAllMachinesMove stops a cluster and starts it at addresses that none of its machines
// knows. With -C they find each other, whichever peers each one's -C names.
func TestAllMachinesMove(t *testing.T) {
	t.Parallel()
	nobody := freeport.Address(t)
	for name, hints := range map[string]func(peers []string) [][]string{
		"each is told of the next":        func(p []string) [][]string { return [][]string{{p[1]}, {p[2]}, {p[0]}} },
		"two are told of the third":       func(p []string) [][]string { return [][]string{{}, {p[0]}, {p[0]}} },
		"one is told of all and itself":   func(p []string) [][]string { return [][]string{p, {}, {}} },
		"a chain, behind a wrong address": func(p []string) [][]string { return [][]string{{nobody, p[1]}, {nobody, p[2]}, {}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms")
			c.members[0].event(post("/v1/keys/foo", "value", "bar"))
			for _, s := range c.members {
				s.stop()
			}
			peers := []string{freeport.Address(t), freeport.Address(t), freeport.Address(t)}
			for i, s := range c.members {
				s.moveTo(freeport.Address(t), peers[i], hints(peers)[i]...)
			}
			c.start(c.members...)
			c.checkAddresses()
			for _, s := range c.members {
				if e := s.event(get("/v1/keys/foo")); e.Value != "bar" {
					t.Errorf("%s: %+v", s.name, e)
				}
			}
			// From now on they find each other without -C.
			for _, s := range c.members {
				s.stop()
				s.moveTo(s.client, s.peer)
			}
			c.start(c.members...)
			c.kill(c.leader())
			waitUntil(t, "a write after the leader died", func() bool {
				return slices.ContainsFunc(c.members, func(s *server) bool { return s.runs() && s.accepts() })
			})
		})
	}
}

// TestHintsAreNoIdentity: a member whose -C names a machine of another cluster, and a client
// port, logs that and goes on in its own cluster.
func TestHintsAreNoIdentity(t *testing.T) {
	t.Parallel()
	other := startServer(t)
	c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms")
	moved := c.follower()
	c.kill(c.members...)
	for _, s := range c.members {
		s.moveTo(s.client, s.peer)
	}
	// Its peers keep their addresses, but are down: so it has to look elsewhere.
	moved.moveTo(moved.client, moved.peer, other.peer, other.client, freeport.Address(t))
	moved.launch()
	for _, text := range []string{"this is a machine of another cluster", "this is the client port", "connection refused"} {
		waitUntil(t, "it says: "+text, func() bool { return strings.Contains(moved.proc.stderr(), text) })
	}
	c.start(c.others(moved)...)
	moved.proc.waitServing()
	c.waitVoters()
	c.checkSameState()
}
