package e2e

import (
	"strings"
	"testing"
)

// TestNoMajority checks that a machine without a majority logs once that there is no leader,
// how many members it reaches and needs, and which are missing.
func TestNoMajority(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, fastElections...)
	left := c.follower()
	others := c.others(left)
	c.kill(others...)
	waitUntil(t, "it says so", func() bool { return strings.Contains(left.proc.stderr(), `msg="no leader: `) })
	left.do(post("/v1/keys/a", "value", "1")) // waits for a leader in vain
	var lines []string
	for line := range strings.Lines(left.proc.stderr()) {
		if strings.Contains(line, `msg="no leader`) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("it is said %d times, want once:\n%s", len(lines), strings.Join(lines, ""))
	}
	present, missing, _ := strings.Cut(lines[0], " missing=")
	for _, want := range []string{`reached="1 of 3"`, "needed=2", "(" + left.name + ")"} {
		if !strings.Contains(present, want) {
			t.Errorf("%q is not in %s", want, lines[0])
		}
	}
	for _, s := range others {
		if !strings.Contains(missing, "("+s.name+")") {
			t.Errorf("%s is not missing in %s", s.name, lines[0])
		}
	}
}
