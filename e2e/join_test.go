package e2e

import (
	"os"
	"strings"
	"testing"

	"etcd/internal/freeport"
)

// TestJoinOfAFounder: a machine that has founded a cluster does not silently join
// another one, and keeps its data. The commands that its message offers work.
func TestJoinOfAFounder(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	own := newMachine(t, "own")
	own.start()
	own.event(post("/v1/keys/mine", "value", "kept"))
	own.stop()
	checkRefusal(t, joinFlags(own, c.members[0]), "founded a cluster of its own", "without -C", "start this machine as before, -C included, with -f added once")
	own.start()
	if e := own.event(get("/v1/keys/mine")); e.Value != "kept" {
		t.Errorf("after the refusal: %+v", e)
	}
	own.stop()
	own.args = append(own.args, "-f", "-C", c.members[0].peer)
	own.start()
	c.members = append(c.members, own)
	c.waitVoters()

	// The founder of a cluster with more members is a member, to which -C is a hint.
	founder := c.members[0]
	founder.stop()
	founder.args = append(founder.args, "-C", own.peer)
	own.kill()
	own.args = nil
	c.start(founder, own)
	c.waitVoters()

	// It remains a member of that cluster when all others were removed.
	c.members = c.others(own)
	c.remove(own, founder)
	founder.stop()
	founder.start()
	if log := founder.proc.stderr(); !strings.Contains(log, "-C is ignored") {
		t.Errorf("nothing is said of -C:\n%s", log)
	}
}

// TestWrongAddressesToJoin: each address of -C is tried, and logged with what is wrong with it.
func TestWrongAddressesToJoin(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	member := c.members[0]
	nobody := freeport.Address(t)

	s := newMachine(t, "right behind wrong")
	s.args = append(s.args, "-C", strings.Join([]string{member.client, s.peer, nobody, member.peer}, ","))
	s.start()
	c.members = append(c.members, s)
	c.waitVoters()
	for _, text := range []string{"this is the client port; other machines reach this one at http://" + member.peer, "this machine itself", "connection refused"} {
		if log := s.proc.stderr(); !strings.Contains(log, text) {
			t.Errorf("not said: %s\n%s", text, log)
		}
	}

	for name, test := range map[string]struct {
		ask   func(s *server) string
		texts []string
	}{
		"only a client port": {func(*server) string { return member.client }, []string{"this is the client port", "http://" + member.peer}},
		"only itself":        {func(s *server) string { return s.peer }, []string{"this machine itself", "leave -C out"}},
		"a client port and nobody": {func(*server) string { return member.client + "," + nobody },
			[]string{"this is the client port", nobody, "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMachine(t, "lost")
			checkRefusal(t, append(s.flags(), "-r", "2", "-C", test.ask(s)), test.texts...)
			if _, err := os.Stat(s.data); name != "a client port and nobody" && err == nil {
				t.Error("the refused start has left a directory behind")
			}
		})
	}
}
