package upstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var nodejs = []pkg{{"nodejs", "node"}, {"npm", "npm"}}

// fetchNodeEtcd installs node-etcd and what its suite needs, if there is npm.
func fetchNodeEtcd(dir string) {
	node := filepath.Join(dir, "node")
	if err := os.CopyFS(node, os.DirFS(filepath.Join("testdata", "node"))); err != nil {
		panic(err)
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	install.Dir = node
	out, err := install.CombinedOutput()
	if err != nil {
		out = append(out, err.Error()...)
	}
	os.WriteFile(filepath.Join(node, "npm.log"), out, 0o600) // which the tests print that do not find it
}

func nodeEtcd(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(os.Getenv(work), "node")
	if !exists(filepath.Join(dir, "node_modules", "node-etcd")) {
		log, _ := os.ReadFile(filepath.Join(dir, "npm.log"))
		t.Fatalf("npm has not installed node-etcd:\n%s", log)
	}
	return dir
}
