package transport

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A peer that causes log lines as fast as it can does not fill the disk with them, and does
// not suppress those that others cause.
func TestBoundedLog(t *testing.T) {
	var out bytes.Buffer
	var now time.Duration
	log := slog.New(BoundedLog(slog.NewTextHandler(&out, nil), func() time.Duration { return now })).With("side", "a")
	lines := func() int { return strings.Count(out.String(), "msg=refused") }
	for range 10_000 {
		log.Warn("refused")
	}
	if got := lines(); got != logBurst {
		t.Errorf("%d lines at once, want %d", got, logBurst)
	}
	log.Warn("something else")
	if !strings.Contains(out.String(), "something else") {
		t.Error("another line was left out")
	}
	out.Reset()
	now += 3 * logEvery
	for range 10 {
		log.Warn("refused")
	}
	if got := lines(); got != 3 || !strings.Contains(out.String(), "omittedBefore=9980\n") {
		t.Errorf("after a pause:\n%s", out.String())
	}
	now += time.Hour
	for range 100 {
		log.Warn("refused")
	}
	if got := lines(); got != 3+logBurst {
		t.Errorf("%d lines after an hour, want %d", got, 3+logBurst)
	}
}
