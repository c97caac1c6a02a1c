package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestForceNewCluster: two of three machines are lost for good. The third is refounded with
// all its data, and a new cluster grows from it, whatever is left on its command line and
// even if a lost machine comes back.
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
			// What was acknowledged at the last moment must survive too, although the
			// survivor may not know that it is committed.
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
				before, _, done := strings.Cut(log, "-force-new-cluster is done")
				if !done || !strings.Contains(before, "BECOMES A CLUSTER OF ITS OWN") || !strings.Contains(before, s.name+" (") {
					t.Errorf("it does not say before the change that it is without %s:\n%s", s.name, log)
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
			if log := survivor.proc.stderr(); !strings.Contains(log, "-force-new-cluster changes nothing") ||
				strings.Contains(log, "BECOMES A CLUSTER") || !strings.Contains(log, "IS A CLUSTER OF ITS OWN since") {
				t.Errorf("a second start:\n%s", log)
			}

			// A lost machine comes back. It ends, says what to do, and keeps its data,
			// which may hold acknowledged writes.
			lost[0].launch()
			code := lost[0].proc.waitExit(waitLimit)
			if log := lost[0].proc.stderr(); code != 1 || !strings.Contains(log, "may hold writes that clients were told are safe") {
				t.Errorf("%s ends with %d:\n%s", lost[0].name, code, log)
			}
			checkRefusal(t, append(lost[0].flags(), "-f"), "-f would delete the data")
			// It can join as a new member.
			again := newMachine(t, lost[0].name, append(slices.Clone(c.args), "-C", survivor.peer)...)
			again.start()
			c.members = append(c.members, again)
			c.waitVoters()

			// The flag is still there when the cluster has grown.
			survivor.stop()
			survivor.start()
			if log := survivor.proc.stderr(); !strings.Contains(log, "-force-new-cluster is ignored") {
				t.Errorf("a start in the new cluster:\n%s", log)
			}
			c.waitVoters()
			c.checkSameState()

			// If the new cluster has the same accident, the flag refounds again, once a
			// start without it has come between.
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

// TestForceNewClusterByMistake: the flag is refused while a majority of the peers is reachable.
// If they are not reachable, so that it is not refused, it does them no harm.
func TestForceNewClusterByMistake(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms")
	one := c.follower()
	others := c.others(one)
	one.stop()
	checkRefusal(t, append(one.flags(), "-force-new-cluster"), "is for a majority that is lost for good, and it is not",
		others[0].name+" (", others[1].name+" (", "Nothing was changed")
	c.kill(others[1])
	checkRefusal(t, append(one.flags(), "-force-new-cluster"), "of 3 voters these are running besides this machine: "+others[0].name+" (")
	c.start(others[1])
	one.start()
	c.waitVoters()

	c.kill(c.members...)
	one.args = append(one.args, "-force-new-cluster")
	one.start()
	c.start(others...)
	waitUntil(t, "that the others hear of it", func() bool {
		return strings.Contains(others[0].proc.stderr(), "has left this cluster") && strings.Contains(others[1].proc.stderr(), "has left this cluster")
	})
	others[0].event(post("/v1/keys/k", "value", "of the majority"))
	if e := others[1].event(get("/v1/keys/k")); e.Value != "of the majority" {
		t.Errorf("%+v", e)
	}
	for _, s := range others {
		s.stop()
		if n := strings.Count(s.proc.stderr(), "has left this cluster"); n != 1 {
			t.Errorf("%s says %d times that a member has left", s.name, n)
		}
	}
}

// TestForceNewClusterRefused: the flag needs data, and never deletes any.
func TestForceNewClusterRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	checkRefusal(t, append(s.flags(), "-force-new-cluster"), "there is no data here")
	if code, _, stderr := run(t, nil, append(s.flags(), "-force-new-cluster", "-f")...); code != 2 || !strings.Contains(stderr, "mutually exclusive") {
		t.Errorf("with -f: exit code %d\n%s", code, stderr)
	}
}
