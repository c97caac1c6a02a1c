package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmallTmpfs runs a machine on a tmpfs of 32 MiB, half the size of a default segment, and
// writes more than that.
func TestSmallTmpfs(t *testing.T) {
	t.Parallel()
	if needMount.absent() {
		t.Skip("this needs " + needMount.what)
	}
	s := newServer(t)
	if err := os.Mkdir(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mountTmpfs(s.data, "size=32m,mode=700"); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { detach(s.data) })
	s.start()
	mustStatus := func(want int, r request) {
		t.Helper()
		answer, err := exchange(s.client, r)
		if err != nil || answer.status != want {
			t.Fatalf("%s: %d %s %v, want %d\n%s", r.target, answer.status, answer.body, err, want, s.proc.stderr())
		}
	}
	mustStatus(200, post("/v1/keys/kept", "value", "small"))
	// The value of a test-and-set whose test fails is in the log and nowhere else.
	filler := post("/v1/keys/kept", "value", strings.Repeat("x", 256<<10), "prevValue", "other")
	for range 300 {
		mustStatus(400, filler)
	}
	s.stop()
	s.start()
	mustStatus(200, get("/v1/keys/kept"))
	if names, _ := filepath.Glob(filepath.Join(s.data, "*.snap")); len(names) == 0 {
		t.Error("75 MiB of log without a snapshot")
	}
}
