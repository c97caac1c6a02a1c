package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// founders prepares the three machines of today's Procfile, with ports and directories of their own.
func founders(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var list []string
	for i := range 3 {
		s := newMachine(t, fmt.Sprint("infra", i+1))
		s.today = true
		c.members = append(c.members, s)
		list = append(list, s.name+"=http://"+s.peer)
	}
	for _, s := range c.members {
		s.args = []string{"--initial-cluster-token", "etcd-cluster-1", "--initial-cluster", strings.Join(list, ","), "--initial-cluster-state", "new",
			"--enable-pprof", "--logger=zap", "--log-outputs=stderr"}
	}
	return c
}

// works checks that what one member writes all have.
func (c *cluster) works(value string) {
	c.t.Helper()
	c.waitVoters()
	for i, s := range c.members {
		if r := s.do(post("/v1/keys/"+s.name, "value", value)); r.status != 200 {
			c.t.Fatalf("%s answers %d %s", s.name, r.status, r.body)
		}
		next := c.members[(i+1)%len(c.members)]
		if r := next.do(get("/v1/keys/" + s.name)); r.status != 200 || !strings.Contains(r.body, `"value":"`+value+`"`) {
			c.t.Fatalf("%s answers %d %s", next.name, r.status, r.body)
		}
	}
	c.checkSameState()
}

// TestProcfileOfToday starts the machines of today's Procfile in every order, each as soon as the one
// before waits for others or serves. Then all are killed, and started again, two of them without what
// is for new clusters, or with another list: it no longer counts.
func TestProcfileOfToday(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			c := founders(t)
			first, second, third := c.members[order[0]], c.members[order[1]], c.members[order[2]]
			first.launch()
			first.waitLogged("waiting for a majority of the machines")
			second.launch()
			first.proc.waitServing()
			second.proc.waitServing()
			second.do(post("/v1/keys/early", "value", "1"))
			third.start() // late
			c.works("founded")
			c.kill(c.members...)
			c.members[0].args = nil
			c.members[1].args = []string{"--initial-cluster", "x=http://127.0.0.1:1", "--initial-cluster-token", "other"}
			c.start(c.members...)
			c.works("restarted")
			if r := third.do(get("/v1/keys/early")); !strings.Contains(r.body, `"value":"1"`) {
				t.Errorf("what was written before the last one came: %d %s", r.status, r.body)
			}
		})
	}
}

// waitLogged waits until a running machine has logged a text.
func (s *server) waitLogged(text string) {
	s.t.Helper()
	waitUntil(s.t, s.name+" logs "+text, func() bool {
		if !s.runs() {
			s.t.Fatalf("%s has ended:\n%s", s.name, s.proc.stderr())
		}
		return strings.Contains(s.proc.stderr(), text)
	})
}

// refusedWith waits until a machine has ended by itself, and checks what it says.
func (s *server) refusedWith(says ...string) {
	s.t.Helper()
	if code := s.proc.waitExit(waitLimit); code != 1 {
		s.t.Errorf("%s ends with %d", s.name, code)
	}
	for _, text := range says {
		if !strings.Contains(s.proc.stderr(), text) {
			s.t.Errorf("%s does not say %q, but\n%s", s.name, text, s.proc.stderr())
		}
	}
}

// TestWrongFounder gives one machine another list, whether it comes first or last. The others go on
// without it, and it says what differs. With the right list it is one of them.
func TestWrongFounder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first bool
		wrong func(args []string, c *cluster)
		says  string
	}{
		"another token, first": {true, func(args []string, _ *cluster) { args[1] = "other" }, "their --initial-cluster-token differs"},
		"another token, last":  {false, func(args []string, _ *cluster) { args[1] = "other" }, "their --initial-cluster-token differs"},
		"a shorter list, last": {false, func(args []string, c *cluster) {
			args[3] = "infra1=http://" + c.members[0].peer + ",infra3=http://" + c.members[2].peer
		}, "belongs to another cluster, of "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := founders(t)
			odd := c.members[2]
			right := slices.Clone(odd.args)
			test.wrong(odd.args, c)
			if test.first {
				odd.launch()
				odd.waitLogged("waiting for a majority")
			}
			c.start(c.members[:2]...)
			if !test.first {
				odd.launch()
			}
			odd.refusedWith("compare --initial-cluster and --initial-cluster-token", test.says)
			if _, err := os.Stat(odd.data); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it has left a data directory behind: %v", err)
			}
			odd.args = right
			odd.start()
			c.works("right")
		})
	}
}

// TestWipedFounder lets a member lose its data. It is refused, because it may have forgotten its votes,
// and replaced in the way that it is told.
func TestWipedFounder(t *testing.T) {
	t.Parallel()
	c := founders(t)
	c.start(c.members...)
	c.works("before")
	lost := c.members[1]
	c.kill(lost)
	if err := os.RemoveAll(lost.data); err != nil {
		t.Fatal(err)
	}
	list, err := c.members[0].list()
	if err != nil {
		t.Fatal(err)
	}
	id := list[slices.IndexFunc(list, func(m clusterMember) bool { return m.Name == lost.name })].ID
	lost.launch()
	lost.refusedWith("member "+id+" has already been bootstrapped", "curl -X DELETE", "--initial-cluster-state existing")
	existing := append(slices.Clone(lost.args), "--initial-cluster-state", "existing")
	lost.args = existing
	lost.launch() // it is a member with a history, whatever its flags say
	lost.refusedWith("member " + id + " has already been bootstrapped")

	other := c.members[0]
	if r := other.do(del("/v2/members/" + id)); r.status != 204 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	lost.launch()
	lost.refusedWith("no member of the cluster has this peer URL: add it first")
	add := request{
		method: "POST", target: "/v2/members", header: [][2]string{{"Content-Type", "application/json"}},
		body: []byte(`{"peerURLs":["http://` + lost.peer + `"]}`),
	}
	added := other.do(add)
	if added.status != 201 {
		t.Fatalf("%d %s", added.status, added.body)
	}
	if again := other.do(add); again.status != 409 {
		t.Errorf("added again: %d %s", again.status, again.body)
	}
	lost.start()
	c.works("replaced")
	if list, err := other.list(); err != nil || strings.Contains(fmt.Sprint(list), id) || !strings.Contains(added.body, list[slices.IndexFunc(list, func(m clusterMember) bool { return m.Name == lost.name })].ID) {
		t.Errorf("the members are %+v, %v; added was %s", list, err, added.body)
	}
	c.kill(c.members...)
	c.start(c.members...)
	c.works("again")
}

// TestFoundersKilledAtEveryStep kills all three at each of their first calls that change the disk. Started
// again, they are one cluster.
func TestFoundersKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	if needStrace.absent() {
		t.Skip("needs " + needStrace.what)
	}
	for call := 1; call <= 10; call++ {
		t.Run(fmt.Sprint(call), func(t *testing.T) {
			t.Parallel()
			c := founders(t)
			for _, s := range c.members {
				s.launchToDie(call)
			}
			waitUntil(t, "one is killed, or all serve, because each call was one of another thread", func() bool {
				return slices.ContainsFunc(c.members, func(s *server) bool { return !s.runs() }) ||
					!slices.ContainsFunc(c.members, func(s *server) bool { return !strings.Contains(s.proc.stderr(), "ready to serve") })
			})
			c.kill(c.members...)
			for _, s := range c.members[1:] {
				if _, err := os.Stat(filepath.Join(s.data, "config.json")); err == nil {
					s.args = nil // what it needs is there
				}
			}
			c.start(c.members...)
			c.works("killed")
		})
	}
}
