package httpfront

import (
	"fmt"
	"testing"
	"time"

	"etcd/actors"
	"etcd/store/logtime"
)

func TestPhases(t *testing.T) {
	const now = logtime.Time(time.Hour)
	before := func(d time.Duration) logtime.Time { return now - logtime.Time(d) }
	const ms = time.Millisecond
	for _, test := range []struct {
		name  string
		times actors.Times
		want  string
	}{
		{"a write", actors.Times{Logged: before(70 * ms), Applying: before(30 * ms), Answered: before(10 * ms)}, "[leader=30ms log=40ms apply=20ms writing=10ms]"},
		{"a write, by a clock that is ahead", actors.Times{Logged: now + 5, Applying: before(30 * ms), Answered: before(10 * ms)}, "[leader=70ms log=0s apply=20ms writing=10ms]"},
		{"a write, logged before it was asked for", actors.Times{Logged: before(time.Minute), Applying: before(30 * ms), Answered: before(10 * ms)}, "[leader=0s log=70ms apply=20ms writing=10ms]"},
		{"a read", actors.Times{Answered: before(60 * ms)}, "[leader=40ms writing=60ms]"},
		{"a read, answered in the future", actors.Times{Answered: now + 1}, "[leader=100ms writing=0s]"},
		{"nothing was asked for", actors.Times{}, "[]"},
	} {
		x := Exchange{times: test.times}
		if got := fmt.Sprint(x.phases(100*ms, now)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
