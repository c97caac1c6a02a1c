package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestForceNewCluster: two of three machines are lost for good. The third goes on alone with
// everything, and a new cluster grows from it, whatever is left on its command line and
// whoever comes back.
func TestForceNewCluster(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"with a log":      nil,
		"with a snapshot": {"-snapshot-count", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, 3, append([]string{"-heartbeat", "50ms", "-election", "500ms"}, args...)...)
			var written event
			for i := range 20 {
				written = c.members[0].event(post("/v1/keys/k", "value", strconv.Itoa(i)))
			}
			survivor := c.follower()
			lost := c.others(survivor)
			// What is acknowledged at the last moment counts, too: the survivor may not
			// know that it is committed.
			c.kill(lost[1])
			waitUntil(t, "a write of two", func() bool {
				answer, err := exchange(survivor.client, post("/v1/keys/last", "value", "acknowledged"))
				return err == nil && answer.status == 200
			})
			c.kill(lost[0], survivor)

			survivor.args = append(survivor.args, "-force-new-cluster")
			survivor.start()
			log := survivor.proc.stderr()
			for _, s := range lost {
				if !strings.Contains(log, "A CLUSTER OF ITS OWN") || !strings.Contains(log, s.name+" (") {
					t.Errorf("it does not say that it is without %s:\n%s", s.name, log)
				}
			}
			c.members = []*server{survivor}
			c.waitVoters()
			if e := survivor.event(get("/v1/keys/last")); e.Value != "acknowledged" {
				t.Errorf("%+v", e)
			}
			past := survivor.event(post("/v1/watch/k", "index", strconv.FormatUint(written.Index, 10)))
			if past.Index != written.Index || past.Value != written.Value {
				t.Errorf("the history has %+v, and %+v was written", past, written)
			}
			if next := survivor.event(post("/v1/keys/k", "value", "alone")); next.Index <= written.Index || next.PrevValue != written.Value {
				t.Errorf("%+v after %+v", next, written)
			}

			// The flag stays in the unit file.
			survivor.stop()
			survivor.start()
			if log := survivor.proc.stderr(); !strings.Contains(log, "-force-new-cluster changes nothing") || strings.Contains(log, "OF ITS OWN NOW") {
				t.Errorf("a second start:\n%s", log)
			}

			// The lost come back. They are told that it is over, and can join anew.
			for _, s := range lost {
				s.launch()
			}
			for _, s := range lost {
				s.proc.waitExit(waitLimit)
				if log := s.proc.stderr(); !strings.Contains(log, "-force-new-cluster") {
					t.Errorf("%s does not say why it ends:\n%s", s.name, log)
				}
			}
			again := newMachine(t, lost[0].name, append(slices.Clone(c.args), "-C", survivor.peer)...)
			again.start()
			c.members = append(c.members, again)
			c.waitVoters()

			// And the flag is still there when the cluster has grown.
			survivor.stop()
			survivor.start()
			if log := survivor.proc.stderr(); !strings.Contains(log, "-force-new-cluster is ignored") {
				t.Errorf("a start in the new cluster:\n%s", log)
			}
			c.waitVoters()
			c.checkSameState()

			// The new cluster may have the same accident, and is meant then.
			survivor.stop()
			survivor.args = slices.DeleteFunc(survivor.args, func(arg string) bool { return arg == "-force-new-cluster" })
			survivor.start()
			c.kill(c.members...)
			survivor.args = append(survivor.args, "-force-new-cluster")
			survivor.start()
			c.members = []*server{survivor}
			c.waitVoters()
			if e := survivor.event(get("/v1/keys/k")); e.Value != "alone" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestForceNewClusterRefused: it is for a machine with data, and deletes none.
func TestForceNewClusterRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	checkRefusal(t, append(s.flags(), "-force-new-cluster"), "there is no data here")
	if code, _, stderr := run(t, nil, append(s.flags(), "-force-new-cluster", "-f")...); code != 2 || !strings.Contains(stderr, "exclude each other") {
		t.Errorf("with -f: exit code %d\n%s", code, stderr)
	}
}
