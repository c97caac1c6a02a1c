package listen

import (
	"io"
	"strings"
	"testing"
)

// A connection over the limit is told so and closed; those within it stay, and when one of
// them ends there is room again.
func TestOneTooMany(t *testing.T) {
	l := loopback(t)
	p := open(t, l, Config{MaxConnections: 2}, nil)
	first := p.greeted(l)
	p.greeted(l)
	for range 3 {
		c := p.dial(l)
		p.reads(c, "too many")
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("it goes on with %q, %v", rest, err)
		}
	}
	if open, refused := p.Open(), p.Refused(); open != 2 || refused != 3 {
		t.Errorf("%d open, %d refused", open, refused)
	}
	if log := p.log.take(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "limit=2") {
		t.Errorf("logged:\n%s", log)
	}
	_ = first.Close()
	for {
		c := p.dial(l)
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err == nil && string(got) == "hello" {
			break
		}
	}
}

// Connections from before a stop are served, however late they are accepted.
func TestConnectedBeforeTheStop(t *testing.T) {
	l := loopback(t)
	p := open(t, l, Config{MaxConnections: 100}, nil)
	conns := make([]io.Reader, 0, 20)
	for range cap(conns) {
		c := p.dial(l)
		conns = append(conns, c)
	}
	p.Drain()
	for _, c := range conns {
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("read %q, %v", got, err)
		}
	}
}
