package actors

import "testing"

// A machine whose cluster has a leader does not stop because a member was refounded
// (-force-new-cluster); one that has had no leader for long does, and one that knows of no
// refounded member waits.
func TestAbandonedCluster(t *testing.T) {
	const patience = 5
	wait := func(a *abandonment, ticks int, leader bool) (by uint64) {
		for range ticks {
			by = max(by, a.tick(leader))
		}
		return by
	}
	for _, c := range []struct {
		name string
		do   func(a *abandonment) (by uint64)
		want uint64
	}{
		{"a leader", func(a *abandonment) uint64 { a.note(7); return wait(a, 10*patience, true) }, 0},
		{"elections", func(a *abandonment) (by uint64) {
			a.note(7)
			for range patience {
				by = max(by, wait(a, patience-1, false), wait(a, 1, true))
			}
			return by
		}, 0},
		{"no leader yet", func(a *abandonment) uint64 { a.note(7); return wait(a, patience-1, false) }, 0},
		{"no leader", func(a *abandonment) uint64 { a.note(7); return wait(a, patience, false) }, 7},
		{"no leader, long before it hears of it", func(a *abandonment) uint64 {
			by := wait(a, 10*patience, false)
			a.note(7)
			return by + wait(a, 1, false)
		}, 7},
		{"no leader, and no member was refounded", func(a *abandonment) uint64 { return wait(a, 10*patience, false) }, 0},
		{"the refounded member is back", func(a *abandonment) uint64 { a.note(7); a.welcomed(7); return wait(a, 10*patience, false) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAbandonment(patience)
			if by := c.do(&a); by != c.want {
				t.Errorf("ends because of %d, want %d", by, c.want)
			}
		})
	}
	if a := newAbandonment(patience); !a.note(7) || a.note(7) || !a.note(8) {
		t.Error("each is new once")
	}
}
