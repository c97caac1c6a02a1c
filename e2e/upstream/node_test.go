package upstream

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var nodejs = []pkg{{"nodejs", "node"}, {"npm", "npm"}}

// fetchNodeEtcd installs node-etcd and what its suite needs, and grpc-js, if there is npm. It runs while the
// other tests do; what it says is in npm.log when it has ended.
func fetchNodeEtcd(ctx context.Context, dir string) error {
	node := filepath.Join(dir, "node")
	log := filepath.Join(node, "npm.log")
	if err := os.CopyFS(node, os.DirFS(filepath.Join("testdata", "node"))); err != nil {
		return err
	}
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = node
	install.WaitDelay = time.Second
	install.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := install.CombinedOutput()
	if err != nil {
		out = append(out, err.Error()...)
	}
	if err := os.WriteFile(log+".new", out, 0o600); err != nil {
		return err
	}
	return os.Rename(log+".new", log)
}

// nodeEtcd returns the directory with the node_modules.
func nodeEtcd(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(os.Getenv(work), "node")
	log := filepath.Join(dir, "npm.log")
	waitUntil(t, "npm has ended", func() bool { return exists(log) })
	if !exists(filepath.Join(dir, "node_modules", "node-etcd")) {
		out, _ := os.ReadFile(log)
		t.Fatalf("npm has not installed node-etcd:\n%s", out)
	}
	return dir
}

// TestNodeEtcd walks through node-etcd, which sees the same with ours as with etcd 3.4.
func TestNodeEtcd(t *testing.T) {
	begin(t, append(nodejs, etcdServer)...)
	compare(t, "node.sh", 1, "NODE="+nodeEtcd(t))
}

// TestNodeEtcdSuite runs the suite of node-etcd, which answers the requests of the client itself.
// Here the server answers them: of what it is asked and then makes of the answer, the suite finds
// right with ours what it finds right with etcd 3.4.
func TestNodeEtcdSuite(t *testing.T) {
	begin(t, append(nodejs, etcdServer)...)
	dir := nodeEtcd(t)
	var passed [2][]string
	for i, program := range []string{reference, *program} {
		s := startCluster(t, program, "http://127.0.0.1:2379")[0] // where the suite expects it
		cmd := exec.Command("node", "--no-deprecation", filepath.Join("node_modules", "mocha", "bin", "_mocha"), "--exit", "--compilers", "coffee:coffee-script/register",
			"--timeout", "1500", "--reporter", "tap", filepath.Join("node_modules", "node-etcd", "test"))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NOCK_OFF=true")
		out, err := finish(cmd)
		for line := range strings.Lines(out) {
			if name, ok := strings.CutPrefix(line, "ok "); ok {
				_, name, _ = strings.Cut(strings.TrimSpace(name), " ") // after a number
				passed[i] = append(passed[i], name)
			}
		}
		if len(passed[i]) < 30 {
			t.Errorf("with %s pass %d tests: %v\n%s", program, len(passed[i]), err, out)
		}
		s.kill()
	}
	// They want no error of a path that belongs to no API, where ours answers with one in JSON.
	different := []string{"Basic functions raw() should use provided method", "Basic functions raw() should send provided value"}
	for _, test := range passed[0] {
		if !slices.Contains(passed[1], test) && !slices.Contains(different, test) {
			t.Errorf("with ours does not pass: %s", test)
		}
	}
}

// TestNodeGRPC calls the server with grpc-js, in the clear and over TLS, where it offers HTTP/2 alone.
func TestNodeGRPC(t *testing.T) {
	begin(t, nodejs...)
	dir := nodeEtcd(t)
	s := &server{t: t, name: "machine", client: newURL(), peer: newURL(), data: filepath.Join(t.TempDir(), "data"), log: filepath.Join(t.TempDir(), "log")}
	secured := strings.Replace(newURL(), "http://", "https://", 1)
	s.launch(*program, "--auto-tls", "--listen-client-urls", s.client+","+secured)
	s.waitServing()
	const want = "/grpc.health.v1.Health/Check 0801\n/missing.Service/Method UNIMPLEMENTED\n" // field 1 is SERVING
	for _, args := range [][]string{
		{strings.TrimPrefix(s.client, "http://")},
		{strings.TrimPrefix(secured, "https://"), filepath.Join(s.data, "auto-tls.crt")},
	} {
		cmd := exec.Command("node", append([]string{"--no-deprecation", "health.js"}, args...)...)
		cmd.Dir = dir
		if out, err := finish(cmd); err != nil || out != want {
			t.Errorf("at %s: %v\n%s", args[0], err, out)
		}
	}
}
