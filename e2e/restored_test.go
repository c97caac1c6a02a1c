package e2e

import (
	little "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// quickElections are for clusters whose members have to be refused within a few election
// timeouts.
var quickElections = []string{"-heartbeat", "20ms", "-election", "200ms"}

// advice matches the commands in the message of a machine that has to be replaced.
var advice = regexp.MustCompile(`curl -X DELETE http://(\S+)(/v2/members/[0-9a-f]{16}), then start this machine as before with (-f -C \S+) added once`)

// TestRestoredDirectory: a member whose data directory is replaced by an older copy is
// refused, whoever led meanwhile, and comes back by what its message says.
func TestRestoredDirectory(t *testing.T) {
	t.Parallel()
	for _, elections := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d elections since", elections), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, 3, quickElections...)
			restored := c.follower()
			restored.event(post("/v1/keys/old", "value", "1"))
			restored.stop()
			backup := filepath.Join(t.TempDir(), "backup")
			copyDirectory(t, restored.data, backup)

			restored.start()
			restored.event(post("/v1/keys/new", "value", "1"))
			for range elections {
				leader := c.leader()
				c.kill(leader)
				c.leader(c.others(leader)...)
				c.start(leader)
			}
			index := restored.event(post("/v1/keys/newer", "value", "1")).Index
			id := restored.id()
			waitUntil(t, "the others have a record of its reach on disk", func() bool {
				return !slices.ContainsFunc(c.others(restored), func(s *server) bool { return !s.remembers(id, index) })
			})
			c.kill(restored)
			restored.putBack(backup)
			// The records of the others survive their restart.
			c.kill(c.others(restored)...)
			c.start(c.others(restored)...)

			restored.launch()
			if code := restored.proc.waitExit(waitLimit); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			log := restored.proc.stderr()
			said := advice.FindStringSubmatch(log)
			if said == nil || !strings.Contains(log, "restored from a backup") {
				t.Fatalf("it does not say what has happened and what to do:\n%s", log)
			}
			if strings.Contains(log, "panic") {
				t.Errorf("it panicked:\n%s", log)
			}
			for _, s := range c.others(restored) {
				if e := s.event(get("/v1/keys/newer")); e.Value != "1" {
					t.Errorf("%s: %+v", s.name, e)
				}
			}

			if answer, err := exchange(said[1], del(said[2])); err != nil || answer.status != 204 {
				t.Fatalf("DELETE %s%s: %d %s %v", said[1], said[2], answer.status, answer.body, err)
			}
			flags := restored.args
			restored.args = append(slices.Clone(flags), strings.Fields(said[3])...)
			if i := slices.Index(flags, "-C"); i >= 0 {
				restored.args = append(slices.Delete(slices.Clone(flags), i, i+2), strings.Fields(said[3])...)
			}
			restored.start()
			c.waitVoters()
			c.checkSameState()
		})
	}
}

// remembers reports whether a machine has a record on disk that the member with this ID has
// an entry; docs/storage-format.md has the format.
func (s *server) remembers(id, index uint64) bool {
	const head, record = 28, 32
	data, err := os.ReadFile(filepath.Join(s.data, "witness"))
	if err != nil || len(data) < head {
		return false
	}
	for data = data[head:]; len(data) >= record; data = data[record:] {
		if little.LittleEndian.Uint64(data) == id {
			return little.LittleEndian.Uint64(data[16:]) >= index
		}
	}
	return false
}

// id returns the member ID of a running machine.
func (s *server) id() uint64 {
	s.t.Helper()
	list, err := s.list()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range list {
		if m.Name == s.name {
			id, err := strconv.ParseUint(m.ID, 16, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return id
		}
	}
	s.t.Fatalf("%s is not in its own list: %+v", s.name, list)
	return 0
}

// putBack replaces the data directory of a stopped machine by a copy.
func (s *server) putBack(backup string) {
	s.t.Helper()
	if err := os.RemoveAll(s.data); err != nil {
		s.t.Fatal(err)
	}
	copyDirectory(s.t, backup, s.data)
}

// TestClonedDirectory: a copy of a data directory that is started beside the original ends,
// and the original goes on undisturbed. When the original is gone, the copy can replace it.
func TestClonedDirectory(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, quickElections...)
	original := c.follower()
	original.event(post("/v1/keys/old", "value", "1"))
	original.stop()
	clone := newMachine(t, original.name, quickElections...)
	copyDirectory(t, original.data, clone.data)
	original.start()
	c.waitVoters()
	before := len(original.proc.stderr())

	clone.launch()
	if code := clone.proc.waitExit(waitLimit); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if log := clone.proc.stderr(); !strings.Contains(log, "another process with the identity of this machine") {
		t.Errorf("it does not say why it ends:\n%s", log)
	}
	original.event(post("/v1/keys/new", "value", "1"))
	for _, s := range c.members {
		if machines := strings.Split(s.do(get("/machines")).body, ","); !sameElements(machines, c.addresses()) {
			t.Errorf("%s: /machines: %s", s.name, machines)
		}
	}
	if log := original.proc.stderr()[before:]; log != "" {
		t.Errorf("the original has noticed:\n%s", log)
	}
	c.checkSameState()
}

// TestKilledRepeatedly: a machine that restarts with its own data directory is never
// refused for good, however often and soon.
func TestKilledRepeatedly(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, quickElections...)
	for i := range 12 {
		s := c.members[i%3]
		c.others(s)[0].event(post("/v1/keys/k", "value", strconv.Itoa(i)))
		c.kill(s)
		if i%2 == 0 { // once more, at once
			s.launch()
			c.kill(s)
		}
		s.start()
		if e := s.event(get("/v1/keys/k")); e.Value != strconv.Itoa(i) {
			t.Errorf("%s: %+v", s.name, e)
		}
	}
	c.kill(c.members...)
	c.start(c.members...)
	c.checkSameState()
}

// TestRestoredFromBeforeTheOthersCame: a machine restored from a directory that knows no other
// members leads alone, since those who claim to be members may be strangers, and the others go
// on without it. It logs that, and tells an operator who follows its message how to join them.
func TestRestoredFromBeforeTheOthersCame(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, quickElections...)
	first := c.members[0]
	first.event(post("/v1/keys/old", "value", "1"))
	first.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	copyDirectory(t, first.data, backup)
	c.start(first)
	for range 2 {
		c.grow(first)
	}
	c.waitVoters()
	id := first.id()
	index := first.event(post("/v1/keys/new", "value", "1")).Index
	waitUntil(t, "the others have a record of its reach on disk", func() bool {
		return !slices.ContainsFunc(c.others(first), func(s *server) bool { return !s.remembers(id, index) })
	})
	c.kill(first)
	first.putBack(backup)
	first.start()
	waitUntil(t, "it logs that members are silent", func() bool {
		return strings.Contains(first.proc.stderr(), "or its data is an old copy: start it with -C")
	})
	first.kill()
	first.moveTo(first.client, first.peer, c.others(first)[0].peer)
	first.launch()
	if code := first.proc.waitExit(waitLimit); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if log := first.proc.stderr(); !strings.Contains(log, "To DELETE it and join, start this machine as before, -C included, with -f added once") {
		t.Errorf("it does not say what to do:\n%s", log)
	}
	for _, s := range c.others(first) {
		if e := s.event(get("/v1/keys/new")); e.Value != "1" {
			t.Errorf("%s: %+v", s.name, e)
		}
	}
}
