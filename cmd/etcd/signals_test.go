package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestObey checks which signals stop the machine or end the process, and when.
func TestObey(t *testing.T) {
	const hup, term, interrupt = syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT
	type sent struct {
		after time.Duration
		sig   os.Signal
	}
	tests := []struct {
		name     string
		terminal bool
		signals  []sent
		stops    bool
		exits    bool
	}{
		{"SIGTERM", false, []sent{{0, term}}, true, false},
		{"two at once, as timeout sends them", false, []sent{{0, term}, {0, term}}, true, false},
		{"two different ones at once", false, []sent{{0, term}, {time.Millisecond, interrupt}}, true, false},
		{"a later one", false, []sent{{0, term}, {2 * time.Second, term}}, true, true},
		{"a third one, later", false, []sent{{0, term}, {0, term}, {2 * time.Second, interrupt}}, true, true},
		{"SIGHUP without a terminal", false, []sent{{0, hup}, {time.Second, hup}}, false, false},
		{"SIGHUP without a terminal, then SIGTERM", false, []sent{{0, hup}, {2 * time.Second, term}}, true, false},
		{"a terminal hangs up", true, []sent{{0, hup}}, true, false},
		{"a terminal hangs up during a stop", true, []sent{{0, interrupt}, {2 * time.Second, hup}}, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal)
				stopping, stop := context.WithCancelCause(context.Background())
				exited := false
				go handleSignals(signals, test.terminal, stop, slog.New(slog.NewTextHandler(io.Discard, nil)), func(code int) {
					exited = true
					if code != 1 {
						t.Errorf("exit code %d, want 1", code)
					}
				})
				for _, s := range test.signals {
					time.Sleep(s.after)
					signals <- s.sig
				}
				synctest.Wait()
				if stops := stopping.Err() != nil; stops != test.stops || exited != test.exits {
					t.Errorf("stops %v, want %v; ends at once %v, want %v", stops, test.stops, exited, test.exits)
				}
				if cause := context.Cause(stopping); test.stops && !strings.HasPrefix(cause.Error(), "signal: ") {
					t.Errorf("the cause is %v", cause)
				}
				close(signals)
			})
		})
	}
}
