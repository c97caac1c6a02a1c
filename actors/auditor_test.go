package actors

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"etcd/store/logtime"
)

func TestAuditPointsDependOnTheLogAlone(t *testing.T) {
	minute := logtime.Time(time.Minute)
	for _, c := range []struct {
		name  string
		times []logtime.Time
		want  string // "!" if the state is hashed before the entry
	}{
		{"the first entry begins nothing", []logtime.Time{7 * minute, 7*minute + 1}, ".."},
		{"a new period", []logtime.Time{minute, 2*minute - 1, 2 * minute, 2*minute + 1}, "..!."},
		{"skipped periods count once", []logtime.Time{minute, 9 * minute, 9 * minute}, ".!."},
		{"a leader with an older clock", []logtime.Time{minute, 3 * minute, 2 * minute, 3 * minute, 4 * minute}, ".!..!"},
		{"entries without a time", []logtime.Time{0, minute, 0, 2 * minute}, "...!"},
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

func TestAuditorReportsDifferingStates(t *testing.T) {
	const differs = "DIFFERS"
	good, bad := stateHash{1}, stateHash{2}
	say := func(from, index uint64, hash stateHash) func(a *auditorActor) {
		return func(a *auditorActor) { a.compare(&audited{from: from, index: index, hash: hash}) }
	}
	passes := func(index uint64) func(a *auditorActor) {
		return func(a *auditorActor) { a.record(index, good) }
	}
	liesAhead := func(a *auditorActor) {
		for i := range uint64(100) {
			say(7, 1000+i, bad)(a)
		}
	}
	for _, c := range []struct {
		name   string
		what   []func(a *auditorActor)
		errors int
	}{
		{"the same", []func(*auditorActor){say(9, 10, good)}, 0},
		{"another", []func(*auditorActor){say(9, 10, bad)}, 1},
		{"another, again and again", []func(*auditorActor){say(9, 10, bad), say(9, 10, bad), say(9, 10, bad)}, 1},
		{"another, of two", []func(*auditorActor){say(9, 10, bad), say(8, 10, bad)}, 2},
		{"at an index that is not ours yet", []func(*auditorActor){say(9, 20, bad)}, 0},
		{"at one that becomes ours", []func(*auditorActor){say(9, 20, bad), passes(20)}, 1},
		{"at one that is passed over", []func(*auditorActor){say(9, 20, bad), passes(21)}, 0},
		{"at one that is forgotten", []func(*auditorActor){say(9, 5, bad)}, 0},
		{"while one speaks of what is far ahead", []func(*auditorActor){liesAhead, say(9, 20, bad), passes(20)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log strings.Builder
			a := &auditorActor{
				log: slog.New(slog.NewTextHandler(&log, nil)),
				own: map[uint64]stateHash{10: good}, order: []uint64{10}, theirs: map[uint64]*peerHashes{},
			}
			for _, f := range c.what {
				f(a)
			}
			if got := strings.Count(log.String(), differs); got != c.errors {
				t.Errorf("%d errors, want %d: %q", got, c.errors, log.String())
			}
			for member, said := range a.theirs {
				if len(said.pending) > audits {
					t.Errorf("%d hashes of member %d wait", len(said.pending), member)
				}
			}
		})
	}
}
