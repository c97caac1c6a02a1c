package expiry_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd/expiry"
	"etcd/store"
)

// second is the time after which a round is asked for again.
const second = store.Time(time.Second)

type step func(t *testing.T, r *expiry.Reaper)

func lead(leading bool) step {
	return func(_ *testing.T, r *expiry.Reaper) { r.Lead(leading) }
}

func next(deadline store.Time) step {
	return func(_ *testing.T, r *expiry.Reaper) { r.Next(deadline) }
}

func again() step { return func(_ *testing.T, r *expiry.Reaper) { r.Again() } }

// due checks whether the store is asked at that time.
func due(now store.Time, want bool) step {
	return func(t *testing.T, r *expiry.Reaper) {
		t.Helper()
		if got := r.Due(now); got != want {
			t.Errorf("at %d it is due: %t, want %t", now, got, want)
		}
	}
}

func wake(want store.Time) step {
	return func(t *testing.T, r *expiry.Reaper) {
		t.Helper()
		if got := r.Wake(); got != want {
			t.Errorf("it wakes at %d, want %d", got, want)
		}
	}
}

func TestReaper(t *testing.T) {
	const end = store.Time(1<<64 - 1)
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
		{"asks again after a second, from when it asked", []step{
			lead(true), next(100), due(150, true), due(150, false), wake(150 + second),
			due(149+second, false), due(150+second, true), wake(150 + 2*second),
			due(149+2*second, false), due(150+2*second, true),
		}},
		{"takes the next deadline after a round", []step{
			lead(true), next(100), due(100, true), next(200), wake(200), due(199, false), due(200, true),
		}},
		{"goes on at once when more is due", []step{
			lead(true), next(100), due(500, true), next(200), wake(200), due(500, true), due(500, false),
		}},
		{"takes an earlier deadline", []step{lead(true), next(100), next(50), wake(50), due(49, false), due(50, true)}},
		{"takes a later deadline", []step{lead(true), next(100), next(150), due(149, false), due(150, true)}},
		{"rests when nothing expires any more", []step{lead(true), next(100), due(100, true), next(0), wake(0), due(end, false)}},
		{"wakes when something expires again", []step{lead(true), next(100), due(100, true), next(0), next(300), wake(300), due(300, true)}},
		{"stops when it no longer leads", []step{lead(true), next(100), lead(false), wake(0), due(end, false)}},
		{"stops within a round", []step{lead(true), next(100), due(100, true), lead(false), wake(0), due(end, false)}},
		{"asks at once when it leads again", []step{
			lead(true), next(100), due(100, true), lead(false), lead(true), wake(100), due(101, true),
		}},
		{"asks at once in a new term", []step{lead(true), next(100), due(100, true), lead(true), due(101, true), due(102, false)}},
		{"hears of deadlines while it does not lead", []step{lead(true), next(100), lead(false), next(300), lead(true), due(299, false), due(300, true)}},
		{"asks at once when the last round is done with", []step{
			lead(true), next(100), due(500, true), due(500, false), again(), wake(100), due(500, true), due(500, false),
		}},
		{"waits a second for the next round all the same", []step{
			lead(true), next(100), due(500, true), again(), due(600, true), wake(600 + second), due(599+second, false), due(600+second, true),
		}},
		{"is not early after a round", []step{lead(true), next(100), due(100, true), next(200), again(), wake(200), due(199, false), due(200, true)}},
		{"rests after a round when nothing expires any more", []step{lead(true), next(100), due(100, true), next(0), again(), wake(0), due(end, false)}},
		{"does nothing after a round of an earlier leadership", []step{lead(true), next(100), due(100, true), lead(false), again(), wake(0), due(end, false)}},
		{"hears of the end of a round it never began", []step{again(), wake(0), lead(true), next(100), again(), wake(100), due(99, false), due(100, true)}},
		{"survives the end of time", []step{lead(true), next(end), due(end-1, false), due(end, true), wake(end)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r expiry.Reaper
			for _, step := range c.steps {
				step(t, &r)
			}
		})
	}
}

// With a timer that fires whenever Wake says, and at odd times besides: what is due
// is asked for as soon as it is due and at most once a second, never early and
// never by a machine that does not lead.
func TestReaperWithATimer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			r         expiry.Reaper
			now       store.Time
			leading   bool
			next      store.Time
			asked     store.Time // when, since something has changed
			hasAsked  bool
			wakeAndDo = func() {
				got, want := r.Due(now), leading && next != 0 && now >= next && (!hasAsked || now >= asked+second)
				if got != want {
					t.Fatalf("at %d it is due: %t, want %t (leading %t, deadline %d, asked %t at %d)", now, got, want, leading, next, hasAsked, asked)
				}
				if got {
					asked, hasAsked = now, true
				}
				if wake := r.Wake(); (wake != 0) != (leading && next != 0) || wake != 0 && wake <= now {
					t.Fatalf("at %d it wants to wake at %d", now, wake)
				}
			}
		)
		now = 1
		t.Repeat(map[string]func(*rapid.T){
			"lead": func(t *rapid.T) {
				leading, hasAsked = rapid.Bool().Draw(t, "leading"), false
				r.Lead(leading)
			},
			"next": func(t *rapid.T) {
				next, hasAsked = store.Time(rapid.Uint64Range(0, uint64(now+3*second)).Draw(t, "deadline")), false
				r.Next(next)
			},
			"round done": func(*rapid.T) {
				hasAsked = false
				r.Again()
			},
			"sleep": func(t *rapid.T) {
				if wake := r.Wake(); wake > now {
					now = wake
				}
			},
			"be woken": func(t *rapid.T) { now += store.Time(rapid.Uint64Range(0, uint64(2*second)).Draw(t, "time")) },
			"":         func(*rapid.T) { wakeAndDo() },
		})
	})
}
