package actors

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"etcd/store"
)

func TestAuditPointsDependOnTheLogAlone(t *testing.T) {
	minute := store.Time(time.Minute)
	for _, c := range []struct {
		name  string
		times []store.Time
		want  string // "!" where the state is hashed before the entry
	}{
		{"the first entry begins nothing", []store.Time{7 * minute, 7*minute + 1}, ".."},
		{"a new period", []store.Time{minute, 2*minute - 1, 2 * minute, 2*minute + 1}, "..!."},
		{"skipped periods count once", []store.Time{minute, 9 * minute, 9 * minute}, ".!."},
		{"a leader with an older clock", []store.Time{minute, 3 * minute, 2 * minute, 3 * minute, 4 * minute}, ".!..!"},
		{"entries without a time", []store.Time{0, minute, 0, 2 * minute}, "...!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			point := auditPoint{every: time.Minute}
			got := ""
			for _, now := range c.times {
				if point.before(now) {
					got += "!"
				} else {
					got += "."
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestTheAuditorShoutsWhenStatesDiffer(t *testing.T) {
	const shout = "DIFFERS"
	good, bad := stateHash{1}, stateHash{2}
	for _, c := range []struct {
		name  string
		ask   func(a *auditorActor)
		shout bool
	}{
		{"the same", func(a *auditorActor) { a.compare(&audited{from: 9, index: 10, hash: good}) }, false},
		{"another", func(a *auditorActor) { a.compare(&audited{from: 9, index: 10, hash: bad}) }, true},
		{"at an index that is not ours yet", func(a *auditorActor) { a.compare(&audited{from: 9, index: 20, hash: bad}) }, false},
		{"at one that is forgotten", func(a *auditorActor) { a.compare(&audited{from: 9, index: 5, hash: bad}) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log strings.Builder
			a := &auditorActor{
				log: slog.New(slog.NewTextHandler(&log, nil)),
				own: map[uint64]stateHash{10: good}, order: []uint64{10}, theirs: map[uint64]map[uint64]stateHash{},
			}
			c.ask(a)
			if got := strings.Contains(log.String(), shout); got != c.shout {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}
