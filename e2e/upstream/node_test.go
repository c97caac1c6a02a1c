package upstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

var nodejs = []pkg{{"nodejs", "node"}, {"npm", "npm"}}

// fetchNodeEtcd installs node-etcd and what its suite needs, if there is npm. It runs while the
// other tests do; what it says is in npm.log when it has ended.
func fetchNodeEtcd(dir string) error {
	node := filepath.Join(dir, "node")
	if err := os.CopyFS(node, os.DirFS(filepath.Join("testdata", "node"))); err != nil {
		return err
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	install.Dir = node
	install.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := install.CombinedOutput()
	if err != nil {
		out = append(out, err.Error()...)
	}
	log := filepath.Join(node, "npm.log")
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
