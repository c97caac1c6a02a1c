package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etcd/internal/freeport"
)

// joinFlags are the flags of one more machine that joins through a member.
func joinFlags(s *server, ask *server, more ...string) []string {
	return append(append(s.flags(), "-C", ask.peer), more...)
}

// TestThreeMachines is the walkthrough of a cluster: three machines, the
// leader is killed, all are killed and restarted, a fourth joins, one is
// removed.
func TestThreeMachines(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms")
	for _, s := range c.members {
		machines := strings.Split(s.do(get("/machines")).body, ",")
		if machines[0] != s.client || !sameElements(machines, c.addresses()) {
			t.Errorf("%s: /machines: %s", s.name, machines)
		}
	}
	c.members[2].event(post("/v1/keys/foo", "value", "bar"))

	// The leader is killed.
	leader := c.leader()
	survivors := c.others(leader)
	c.kill(leader)
	if e := survivors[0].event(get("/v1/keys/foo")); e.Value != "bar" {
		t.Errorf("after the leader died: %+v", e)
	}
	if next := c.leader(survivors...); next == leader {
		t.Errorf("%s leads and is dead", next.name)
	}
	if e := survivors[1].event(post("/v1/keys/foo", "value", "baz")); e.PrevValue != "bar" {
		t.Errorf("a write after the leader died: %+v", e)
	}
	c.start(leader)

	// All are killed and restarted: with the same flags, and without -C.
	for range 2 {
		c.kill(c.members...)
		c.start(c.members...)
		for _, s := range c.members {
			if e := s.event(get("/v1/keys/foo")); e.Value != "baz" {
				t.Errorf("%s after a restart of all: %+v", s.name, e)
			}
			if i := slices.Index(s.args, "-C"); i >= 0 {
				s.args = slices.Delete(s.args, i, i+2)
			}
		}
	}
	c.waitVoters()

	// A fourth joins through any member; its address may come from a file.
	fourth := c.newMember()
	file := filepath.Join(fourth.dir, "machines")
	if err := os.WriteFile(file, []byte(freeport.Address(t)+"\n"+c.follower().peer+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fourth.args = append(fourth.args, "-CF", file)
	fourth.start()
	c.members = append(c.members, fourth)
	c.waitVoters()
	if e := fourth.event(get("/v1/keys/foo?quorum=false")); e.Value != "baz" {
		t.Errorf("the fourth machine: %+v", e)
	}
	c.checkSameState()

	// One is removed, by a request to another.
	gone := c.leader()
	c.members = c.others(gone)
	c.remove(gone, c.members[0])
	c.waitVoters()
	if e := c.members[1].event(post("/v1/keys/foo", "value", "three again")); e.PrevValue != "baz" {
		t.Errorf("after the removal: %+v", e)
	}
	for _, s := range c.members {
		machines := strings.Split(s.do(get("/machines")).body, ",")
		if machines[0] != s.client || !sameElements(machines, c.addresses()) {
			t.Errorf("%s after the removal: /machines: %s", s.name, machines)
		}
		s.want(get("/v1/keys/_etcd/machines/"+gone.name), 404,
			`{"errorCode":100,"message":"Key Not Found","cause":"/_etcd/machines/`+gone.name+`"}`)
	}
	c.checkSameState()

	// Its data directory is refused from then on, with and without -C.
	for _, args := range [][]string{gone.flags(), joinFlags(gone, c.members[0])} {
		checkRefusal(t, args, "removed", "-f")
	}
	// With an empty one it is a new member, which may have the old name.
	again := newMachine(t, gone.name, append(slices.Clone(c.args), "-C", c.members[0].peer)...)
	again.start()
	c.members = append(c.members, again)
	c.waitVoters()
	c.checkSameState()
}

// checkRefusal checks that a command line ends with code 1 and that the last
// line it prints holds all the given texts.
func checkRefusal(t *testing.T, args []string, texts ...string) {
	t.Helper()
	code, _, stderr := run(t, nil, args...)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	for _, text := range texts {
		if code != 1 || !strings.Contains(last, text) {
			t.Errorf("etcd %s: exit code %d, want 1 and a last line that contains %q:\n%s", strings.Join(args, " "), code, text, stderr)
			return
		}
	}
	t.Logf("the last line is: %s", last)
}

// TestJoinTogether starts many machines at once; the first is not even ready
// when the others ask it to join.
func TestJoinTogether(t *testing.T) {
	t.Parallel()
	c := &cluster{t: t, args: []string{"-heartbeat", "50ms", "-election", "500ms"}}
	for range 5 {
		c.members = append(c.members, c.newMember())
	}
	for i, s := range c.members[1:] {
		s.args = append(s.args, "-C", c.members[i].peer+","+c.members[0].peer)
	}
	c.start(c.members...)
	c.waitVoters()
	for _, s := range c.members {
		if e := s.event(post("/v1/keys/"+s.name, "value", "1")); e.Action != "SET" {
			t.Errorf("%s: %+v", s.name, e)
		}
	}
	c.checkSameState()
}

// TestJoinRefused checks the messages of machines whose join is refused.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	flags := []string{"-heartbeat", "50ms", "-election", "500ms"}
	c := startCluster(t, 2, append(flags, "-maxsize", "3")...)
	asked := c.members[1]

	// A machine that has lost its disk comes back under its old name. It is told
	// that the old member has to be removed first.
	wiped := newMachine(t, asked.name, flags...)
	// The request goes to a member that answers, unless that is the one with the name.
	checkRefusal(t, joinFlags(wiped, c.members[0]), asked.name, "(curl -X DELETE http://"+c.members[0].client+"/v2/members/")
	checkRefusal(t, joinFlags(wiped, asked), asked.name, "it is the one that answers this", "-n")

	third := c.newMember()
	third.args = append(third.args, "-C", asked.peer)
	third.start()
	c.members = append(c.members, third)
	c.waitVoters()
	fourth := c.newMember()
	checkRefusal(t, joinFlags(fourth, asked), "Reached the max number of machines in the cluster")
	c.waitVoters()

	// No member answers.
	lonely := c.newMember()
	nobody := &server{peer: freeport.Address(t)}
	checkRefusal(t, joinFlags(lonely, nobody, "-r", "2"), nobody.peer)

	// A member of one cluster cannot join another.
	other := startServer(t)
	c.kill(third)
	third.args = append(slices.Clone(c.args), "-C", other.peer)
	third.start()
	c.waitVoters()

	// The wiped machine joins as its message said.
	wipedMember := c.members[1]
	c.members = c.others(wipedMember)
	c.remove(wipedMember, c.members[0])
	wiped.args = append(wiped.args, "-C", c.members[0].peer)
	wiped.start()
	c.members = append(c.members, wiped)
	c.waitVoters()
	c.checkSameState()
}

// TestChangedAddress checks that peers reach a machine that restarts at another
// address.
func TestChangedAddress(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "-heartbeat", "50ms", "-election", "500ms")
	moved := c.follower()
	c.kill(moved)
	moved.client, moved.peer = freeport.Address(t), freeport.Address(t)
	moved.start()
	c.waitVoters()
	for _, s := range c.members {
		waitUntil(t, s.name+" knows the new address", func() bool {
			return sameElements(strings.Split(s.do(get("/machines")).body, ","), c.addresses())
		})
	}
	// The new addresses alone suffice for a cluster.
	c.kill(c.others(moved)[0])
	waitUntil(t, "a write", moved.accepts)
}
