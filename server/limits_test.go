package server

import (
	"strings"
	"testing"
)

func TestOpenFiles(t *testing.T) {
	for _, test := range []struct {
		name        string
		files       uint64
		connections int // -max-connections; 0: not given
		members     int
		limit       int
		warning     string // a part of it
	}{
		{"plenty", 1 << 20, 0, 9, 1<<20 - 256, ""},
		{"no limit", 1 << 63, 0, 9, maxConnections, ""},
		{"no limit, and more than can be", 1 << 63, 1 << 24, 9, maxConnections, ""},
		{"what is usual", 1024, 0, 9, 768, ""},
		{"enough for what was asked", 300, 40, 9, 40, ""},
		{"low", 300, 0, 9, 44, "300 leave room for 44 client connections; raise it to 756 or more (ulimit -n"},
		{"lower than what was asked", 1024, 1000, 9, 768, "768 client connections, not the 1000 of -max-connections; raise it to 1256"},
		{"nearly nothing", 100, 0, 9, 1, "room for 1 client"},
		{"kept for many members", 1024, 0, 99, 1024 - 990, "raise it to 1490"},
	} {
		c := &Config{MaxConnections: test.connections, MaxMembers: test.members}
		if got := c.connectionLimit(test.files); got != test.limit {
			t.Errorf("%s: limit %d, want %d", test.name, got, test.limit)
		}
		if got := c.fileLimitWarning(test.files); (got == "") != (test.warning == "") || !strings.Contains(got, test.warning) {
			t.Errorf("%s: %q lacks %q", test.name, got, test.warning)
		}
	}
}
