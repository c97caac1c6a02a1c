package expiry_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd/expiry"
	"etcd/store/logtime"
)

// second is the back-off after a failed round.
const second = logtime.Time(time.Second)

type step func(t *testing.T, r *expiry.Reaper)

func lead(leading bool) step {
	return func(_ *testing.T, r *expiry.Reaper) { r.SetLeading(leading) }
}

func next(deadline logtime.Time) step {
	return func(_ *testing.T, r *expiry.Reaper) { r.SetNext(deadline) }
}

// begin answers a request with a round of n commands, which are to be proposed.
func begin(commands int, want bool) step {
	return func(t *testing.T, r *expiry.Reaper) {
		t.Helper()
		if got := r.Begin(commands); got != want {
			t.Errorf("a round of %d is to be proposed: %t, want %t", commands, got, want)
		}
	}
}

func answered(done bool, now logtime.Time) step {
	return func(_ *testing.T, r *expiry.Reaper) { r.Answered(done, now) }
}

// due checks whether the store is asked for due keys at the given time.
func due(now logtime.Time, want bool) step {
	return func(t *testing.T, r *expiry.Reaper) {
		t.Helper()
		if got := r.Due(now); got != want {
			t.Errorf("at %d it is due: %t, want %t", now, got, want)
		}
	}
}

func wake(want logtime.Time) step {
	return func(t *testing.T, r *expiry.Reaper) {
		t.Helper()
		if got := r.Wake(); got != want {
			t.Errorf("it wakes at %d, want %d", got, want)
		}
	}
}

func TestReaper(t *testing.T) {
	const end = logtime.Time(1<<64 - 1)
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"knows nothing at first", []step{wake(0), due(end, false)}},
		{"has nothing to do without a deadline", []step{lead(true), wake(0), due(end, false)}},
		{"does nothing while it does not lead", []step{next(100), wake(0), due(100, false), due(end, false)}},
		{"is never early", []step{lead(true), next(100), wake(100), due(0, false), due(99, false), due(100, true)}},
		{"may be late", []step{lead(true), next(100), due(5000, true)}},
		{"leads with a deadline it heard before", []step{next(100), lead(true), wake(100), due(100, true)}},
		{"asks once", []step{lead(true), next(100), due(150, true), wake(0), due(150, false), due(end, false)}},
		{"asks nothing while a round is under way", []step{
			lead(true), next(100), due(150, true), begin(2, true), wake(0), answered(true, 160), next(120), wake(0), due(end, false),
		}},
		{"asks at once when a round is over and more is due", []step{
			lead(true), next(100), due(150, true), begin(2, true), answered(true, 160), answered(true, 160), wake(100), due(160, true), due(160, false),
		}},
		{"takes the next deadline after a round", []step{
			lead(true), next(100), due(100, true), begin(1, true), next(200), answered(true, 150), wake(200), due(199, false), due(200, true),
		}},
		{"goes on when there was nothing to expire after all", []step{
			lead(true), next(100), due(150, true), next(200), begin(0, true), wake(200), due(199, false), due(200, true),
		}},
		{"waits a second after a round that has failed", []step{
			lead(true), next(100), due(150, true), begin(3, true), answered(true, 160), answered(false, 170), answered(true, 180),
			wake(180 + second), due(179+second, false), due(180+second, true), begin(1, true), answered(true, 500+second), due(500+second, true),
		}},
		{"is not early after a round that has failed", []step{
			lead(true), next(100), due(150, true), begin(1, true), answered(false, 160), next(200 + second), wake(200 + second),
		}},
		{"does not wait for what a former leader has failed to do", []step{
			lead(true), next(100), due(150, true), begin(1, true), answered(false, 160), lead(false), lead(true), wake(100),
		}},
		{"takes an earlier deadline", []step{lead(true), next(100), next(50), wake(50), due(49, false), due(50, true)}},
		{"takes a later deadline", []step{lead(true), next(100), next(150), due(149, false), due(150, true)}},
		{"rests when nothing expires any more", []step{lead(true), next(100), next(0), wake(0), due(end, false)}},
		{"rests after the last round", []step{
			lead(true), next(100), due(100, true), begin(1, true), next(0), answered(true, 100), wake(0), due(end, false),
		}},
		{"wakes when something expires again", []step{lead(true), next(100), next(0), next(300), wake(300), due(300, true)}},
		{"stops when it no longer leads", []step{lead(true), next(100), lead(false), wake(0), due(end, false)}},
		{"proposes nothing when it no longer leads", []step{
			lead(true), next(100), due(100, true), lead(false), begin(3, false), lead(true), wake(100), due(100, true),
		}},
		{"waits for the end of its round when it leads again", []step{
			lead(true), next(100), due(100, true), begin(2, true), lead(false), answered(false, 110), lead(true), wake(0), due(end, false),
			answered(true, 120), wake(120 + second),
		}},
		{"goes on in a new term", []step{lead(true), next(100), due(100, true), lead(true), begin(1, true), answered(true, 110), wake(100)}},
		{"hears of deadlines while it does not lead", []step{lead(true), next(100), lead(false), next(300), lead(true), due(299, false), due(300, true)}},
		{"survives the end of time", []step{
			lead(true), next(end), due(end-1, false), due(end, true), begin(1, true), answered(false, end), wake(end),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r expiry.Reaper
			for _, step := range c.steps {
				step(t, &r)
			}
		})
	}
}

// However leaders change, commands fail and keys are set again: a leader asks for keys as soon
// as they are due, never early, for none twice, and no round is lost.
func TestRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			r       expiry.Reaper
			now     logtime.Time = 1
			leading bool
			next    logtime.Time
			asked   bool
			waiting int
			calm    logtime.Time // end of the back-off after the last failed round
			failed  bool
		)
		t.Repeat(map[string]func(*rapid.T){
			"lead": func(t *rapid.T) {
				leading, calm = rapid.Bool().Draw(t, "leading"), 0
				r.SetLeading(leading)
			},
			"next": func(t *rapid.T) {
				next = logtime.Time(rapid.Uint64Range(0, uint64(now+3*second)).Draw(t, "deadline"))
				r.SetNext(next)
			},
			"the store answers": func(t *rapid.T) {
				if !asked {
					t.Skip("it was not asked")
				}
				n := rapid.IntRange(0, 3).Draw(t, "commands")
				if asked = false; r.Begin(n) != leading {
					t.Fatalf("the round is to be proposed: %t", !leading)
				}
				if leading {
					waiting = n
				}
			},
			"a command is answered": func(t *rapid.T) {
				if waiting == 0 {
					t.Skip("there is none")
				}
				done := rapid.Bool().Draw(t, "done")
				r.Answered(done, now)
				failed = failed || !done
				if waiting--; waiting == 0 && failed {
					failed, calm = false, now+second
				}
			},
			"sleep": func(*rapid.T) {
				if wake := r.Wake(); wake > now {
					now = wake
				}
			},
			"be woken": func(t *rapid.T) { now += logtime.Time(rapid.Uint64Range(0, uint64(2*second)).Draw(t, "time")) },
			"": func(t *rapid.T) {
				may := leading && next != 0 && !asked && waiting == 0
				want := may && now >= next && now >= calm
				if wake := r.Wake(); (wake != 0) != may || may && want != (wake <= now) {
					t.Fatalf("at %d it wants to wake at %d", now, wake)
				}
				if got := r.Due(now); got != want {
					t.Fatalf("at %d it is due: %t, want %t", now, got, want)
				}
				asked = asked || want
			},
		})
	})
}
