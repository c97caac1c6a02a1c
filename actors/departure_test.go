package actors

import "testing"

// A machine whose cluster has a leader does not stop because a member was refounded
// (-force-new-cluster); one that has had no leader for long does, and one that knows of no
// refounded member waits.
func TestWhenAClusterIsGivenUp(t *testing.T) {
	const patience = 5
	wait := func(g *givenUp, ticks int, leader bool) (by uint64) {
		for range ticks {
			by = max(by, g.tick(leader))
		}
		return by
	}
	for _, c := range []struct {
		name string
		do   func(g *givenUp) (by uint64)
		want uint64
	}{
		{"a leader", func(g *givenUp) uint64 { g.note(7); return wait(g, 10*patience, true) }, 0},
		{"elections", func(g *givenUp) (by uint64) {
			g.note(7)
			for range patience {
				by = max(by, wait(g, patience-1, false), wait(g, 1, true))
			}
			return by
		}, 0},
		{"no leader yet", func(g *givenUp) uint64 { g.note(7); return wait(g, patience-1, false) }, 0},
		{"no leader", func(g *givenUp) uint64 { g.note(7); return wait(g, patience, false) }, 7},
		{"no leader, long before it is told", func(g *givenUp) uint64 {
			by := wait(g, 10*patience, false)
			g.note(7)
			return by + wait(g, 1, false)
		}, 7},
		{"no leader, and nobody has left", func(g *givenUp) uint64 { return wait(g, 10*patience, false) }, 0},
		{"who had left is a member", func(g *givenUp) uint64 { g.note(7); g.welcomed(7); return wait(g, 10*patience, false) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGivenUp(patience)
			if by := c.do(&g); by != c.want {
				t.Errorf("ends because of %d, want %d", by, c.want)
			}
		})
	}
	if g := newGivenUp(patience); !g.note(7) || g.note(7) || !g.note(8) {
		t.Error("each is new once")
	}
}
