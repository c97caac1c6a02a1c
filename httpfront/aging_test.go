package httpfront

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Those that have waited for too long are removed, oldest first, whichever others have left.
func TestAging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := aging[*conn]{after: time.Hour}
		all := make([]*conn, 6)
		for i := range all {
			all[i] = &conn{}
			if !l.add(all[i]) {
				t.Fatal("it is closed")
			}
			time.Sleep(time.Second)
		}
		l.remove(all[0])
		l.remove(all[3])
		l.remove(all[3])
		if got := l.overdue(time.Now().Add(-3 * time.Second)); !slices.Equal(got, []*conn{all[1], all[2]}) {
			t.Errorf("%d are overdue, want the second and third", len(got))
		}
		l.remove(all[5])
		if l.take(all[5], func() { t.Error("it counts as taken") }) {
			t.Error("one that was removed is taken")
		}
		if got := l.overdue(time.Now()); !slices.Equal(got, all[4:5]) {
			t.Errorf("%d are left, want the fifth", len(got))
		}
		l.close()
		if l.add(all[0]) {
			t.Error("one is added to those that are closed")
		}
	})
}
