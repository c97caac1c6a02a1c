package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// raisedTo reports whether a machine has logged that the cluster version was raised to version.
func (s *server) raisedTo(version string) bool {
	return strings.Contains(s.proc.stderr(), `msg="the version of the cluster was raised" from=2 to=`+version)
}

// replaceProgram restarts a machine with another program.
func (s *server) replaceProgram(program string) {
	s.t.Helper()
	s.stop()
	s.program = program
	s.start()
}

// TestUpgrade replaces the program of three machines one by one while clients use them, from
// every commit that upgrades are supported from to one of the same cluster version, and to the
// present program, which understands a later one. As long as one machine runs the old program, the
// others can be downgraded; after that they refuse to start with it, and say why.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const same, next = "2", "6"
	current, later := programOfVersion(t, same), binary
	for _, commit := range upgradableFrom(t) {
		t.Run(commit, func(t *testing.T) {
			t.Parallel()
			old := programOf(t, commit)
			c := &cluster{t: t, args: []string{"-snapshot-count", "500"}}
			for range 3 {
				s := c.newMember()
				s.program = old
				c.members = append(c.members, s)
			}
			c.form()
			w := startWorkload(t, 6, 11, c.addresses())
			goesOn := func() {
				enough := w.done() + 200
				waitUntil(t, "load", func() bool { return w.done() >= enough })
			}
			goesOn()
			for _, s := range c.members {
				s.replaceProgram(current)
				goesOn()
			}
			c.members[0].replaceProgram(old) // and back
			goesOn()
			c.members[1].replaceProgram(later)
			c.members[2].replaceProgram(later)
			goesOn()
			c.members[2].replaceProgram(old) // one step back: one machine does not know the later version
			goesOn()
			for _, s := range c.members {
				if s.raisedTo(next) {
					t.Fatalf("%s: the version was raised although %s does not understand it", s.name, c.members[0].name)
				}
			}
			c.members[2].replaceProgram(later)
			c.members[0].replaceProgram(later)
			for _, s := range c.members {
				waitUntil(t, s.name+" has the later version", func() bool { return s.raisedTo(next) })
			}
			txns := startTransactions(t, 2, 11, c.addresses())
			goesOn()
			checkTooOld(t, c, old, next)
			goesOn()
			w.check(c.members)
			txns.check()
			c.checkSameState()
		})
	}
}

// checkTooOld starts programs that do not understand the cluster version: on a downgraded
// member, and on a machine that joins. Both say so and end, and neither has changed anything.
func checkTooOld(t *testing.T, c *cluster, old, version string) {
	t.Helper()
	s := c.members[1]
	s.stop()
	before := contents(t, s.data)
	s.program = old
	s.launch()
	if code := s.proc.waitExit(stopLimit); code != 1 {
		t.Errorf("a member whose program was put back ends with %d", code)
	}
	says := "written by a newer version of etcd" // the log, or a snapshot if there is one already
	if !strings.Contains(s.proc.stderr(), says) {
		t.Errorf("it does not say %q, but\n%s", says, s.proc.stderr())
	}
	for name, content := range contents(t, s.data) {
		if before[name] != content {
			t.Errorf("it has changed %s", name)
		}
	}
	s.program = c.members[0].program
	s.start()

	joining := c.newMember()
	joining.program = old
	joining.args = append(joining.args, "-C", s.peer)
	joining.launch()
	if code := joining.proc.waitExit(stopLimit); code != 1 {
		t.Errorf("a machine that is too old to join ends with %d", code)
	}
	says = "this cluster has version " + version + ", and the program of this machine understands"
	if !strings.Contains(joining.proc.stderr(), says) {
		t.Errorf("it does not say %q, but\n%s", says, joining.proc.stderr())
	}
	if list, err := s.list(); err != nil || len(list) != 3 {
		t.Errorf("%d members (%v)", len(list), err)
	}
}

// contents returns the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}
