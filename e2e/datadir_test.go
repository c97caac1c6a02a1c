package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etcd/internal/freeport"
)

// allBelow lists all files below a directory with their content.
func allBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			files = append(files, path)
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, fmt.Sprintf("%s: %q", path, content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestForeignDirectory checks that data of other versions of etcd is refused, and not
// touched, with and without -f.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	for version, files := range map[string][]string{
		"etcd 0.x": {"conf", "log", "snapshot/1_2.ss"},
		"etcd 2":   {"member/snap/0000000000000002-0000000000002711.snap", "member/wal/0000000000000000-0000000000000000.wal"},
		"etcd 3":   {"member/snap/db", "member/wal/0000000000000000-0000000000000000.wal"},
	} {
		s := newServer(t)
		for _, name := range files {
			path := filepath.Join(s.data, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := allBelow(t, s.data)
		for _, more := range [][]string{nil, {"-f"}, {"-auto-tls"}} {
			checkRefusal(t, append(s.flags(), more...), s.data, version, "-d")
			if after := allBelow(t, s.data); !slices.Equal(after, before) {
				t.Errorf("%s %v: the directory was changed:\n%s", version, more, strings.Join(after, "\n"))
			}
		}
	}
}

// TestLogGone checks that a machine whose log is gone does not start over by itself, and
// does if it is told to.
func TestLogGone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do(post("/v1/keys/a", "value", "1"))
	s.stop()
	segments, err := filepath.Glob(filepath.Join(s.data, "*.wal"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	for _, segment := range segments {
		if err := os.Remove(segment); err != nil {
			t.Fatal(err)
		}
	}
	before := allBelow(t, s.data)
	checkRefusal(t, s.flags(), s.data, "log is gone", "-f", "-C")
	if after := allBelow(t, s.data); !slices.Equal(after, before) {
		t.Errorf("the directory was changed:\n%s", strings.Join(after, "\n"))
	}
	s.args = []string{"-f"}
	s.start()
	s.want(post("/v1/keys/b", "value", "1"), 200, `{"action":"SET","key":"/b","value":"1","newKey":true,"index":3}`)
}

// TestRefusedStartLeavesNothing checks that a refused start leaves no directory behind,
// whatever the reason.
func TestRefusedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	member := startServer(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"client port in use", []string{"-c", busy.Addr().String(), "-auto-tls"}, 1, "-c " + busy.Addr().String()},
		{"an address of another host", []string{"-c", "192.0.2.1:4001"}, 1, "-cl"},
		{"no certificate", []string{"-clientCert", "nosuch", "-clientKey", "nosuch"}, 1, "nosuch"},
		{"no port to join", []string{"-C", "foo"}, 2, "foo:7001"},
		{"nobody to join", []string{"-C", freeport.Address(t), "-r", "1", "-auto-tls"}, 1, "refused"},
		{"the cluster refuses", []string{"-C", member.peer, "-n", member.name}, 1, "has the name"},
		{"others could not reach it", []string{"-C", "192.0.2.1:7001", "-h", "0.0.0.0", "-c", "0", "-s", "0"}, 1, "another host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			above := t.TempDir()
			args := append([]string{"-d", filepath.Join(above, "a", "b"), "-c", freeport.Address(t), "-s", freeport.Address(t)}, test.args...)
			code, _, stderr := run(t, nil, args...)
			if code != test.code || !strings.Contains(stderr, test.says) {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, test.code, test.says, stderr)
			}
			if left := allBelow(t, above); len(left) != 1 {
				t.Errorf("left behind:\n%s", strings.Join(left[1:], "\n"))
			}
		})
	}
}

// TestStartOverInCluster checks that -f, left in a unit file, does not delete the data of a
// member of a cluster.
func TestStartOverInCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, fastElections...)
	s, other := c.follower(), c.leader()
	other.do(post("/v1/keys/a", "value", "1"))
	s.stop()
	for _, args := range [][]string{append(s.flags(), "-f"), append(joinFlags(s, other), "-f")} {
		checkRefusal(t, args, "cluster of 3", "nothing was deleted", "/v2/members/")
	}
	s.start()
	waitUntil(t, "it has what it had", func() bool { return s.event(get("/v1/keys/a?quorum=false")).Value == "1" })
	// Once the member is removed, its data may go.
	c.members = c.others(s)
	c.remove(s, other)
	s.args = append(s.args, "-f")
	if !slices.Contains(s.args, "-C") {
		s.args = append(s.args, "-C", other.peer)
	}
	s.start()
	c.members = append(c.members, s)
	c.waitVoters()
	if !strings.Contains(s.proc.stderr(), "is it left in a unit file") {
		t.Errorf("-f deletes without a warning:\n%s", s.proc.stderr())
	}
}

// TestUnspecifiedAddress checks that machines on one host form a cluster at 0.0.0.0, as in
// the README of 2013, and warn about it.
func TestUnspecifiedAddress(t *testing.T) {
	t.Parallel()
	c := &cluster{t: t, args: slices.Clone(fastElections)}
	for range 3 {
		s := c.newMember()
		s.client = strings.Replace(s.client, "127.0.0.1", "0.0.0.0", 1)
		s.peer = strings.Replace(s.peer, "127.0.0.1", "0.0.0.0", 1)
		c.members = append(c.members, s)
	}
	first := c.members[0]
	first.launch()
	first.proc.waitServing()
	for _, s := range c.members[1:] {
		s.args = append(s.args, "-C", strings.Replace(first.peer, "0.0.0.0", "127.0.0.1", 1))
		s.launch()
		s.proc.waitServing()
	}
	c.waitVoters()
	for _, s := range c.members {
		if machines := strings.Split(s.do(get("/machines")).body, ","); !sameElements(machines, c.addresses()) {
			t.Errorf("/machines: %s, want %s", machines, c.addresses())
		}
		if e := s.event(post("/v1/keys/"+s.name, "value", "1")); e.Action != "SET" {
			t.Errorf("%s: %+v", s.name, e)
		}
		for _, warning := range []string{"clients on other hosts cannot use", "only machines on this host", "the peer port can be reached from other hosts"} {
			if !strings.Contains(s.proc.stderr(), warning) {
				t.Errorf("%s does not warn that %s:\n%s", s.name, warning, s.proc.stderr())
			}
		}
	}
	c.checkSameState()
}
