package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// upgradableFrom are the commits in testdata/upgrade/from, oldest first.
func upgradableFrom(t *testing.T) (commits []string) {
	t.Helper()
	f, err := os.Open(filepath.Join(fixtures, "from"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		commit, _, _ := strings.Cut(lines.Text(), "#")
		if commit = strings.TrimSpace(commit); commit != "" {
			commits = append(commits, commit)
		}
	}
	return commits
}

// programOf returns the server as of a commit, built from the history of this repository and
// kept in the user's cache.
func programOf(t *testing.T, commit string) (path string) {
	t.Helper()
	hash := strings.TrimSpace(output(t, "..", "git", "rev-parse", "--verify", commit+"^{commit}"))
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "etcd-upgrade", hash)
	path = filepath.Join(dir, "etcd")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	sources := t.TempDir()
	archive := filepath.Join(sources, "sources.tar")
	output(t, "..", "git", "archive", "-o", archive, hash)
	output(t, sources, "tar", "-xf", archive)
	built := filepath.Join(dir, filepath.Base(sources)+filepath.Base(t.TempDir())) // a name of its own, for several at a time
	output(t, sources, "go", "build", "-o", built, "./cmd/etcd")
	if err := os.Rename(built, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// programOfVersion returns the present server, changed to understand the cluster versions
// from 1 to last.
func programOfVersion(t *testing.T, last string) (path string) {
	t.Helper()
	const file, present = "store/version.go", "var Commands = version.Range{Min: 1, Max: 6}"
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), present) != 1 {
		t.Fatalf("%s does not have: %s", file, present)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "version.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), present, "var Commands = version.Range{Min: 1, Max: "+last+"}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, file): changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "etcd")
	output(t, root, "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, "./cmd/etcd")
	return path
}

// output runs a command and returns what it prints.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		stderr := ""
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		t.Fatalf("%s: %v\n%s", cmd, err, stderr)
	}
	return string(out)
}
