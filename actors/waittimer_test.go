package actors

import (
	"testing"
	"testing/synctest"
	"time"
)

// Of many waits, one after the other, only the one whose deadline passes is ended, and at its
// deadline.
func TestWaitTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a WaitTimer
		ended := make(map[uint64]time.Duration)
		start := time.Now()
		a.OnFire = func() {
			if id, over := a.Fired(); over {
				ended[id] = time.Since(start)
			}
		}
		wait := func(id uint64, patience, answer time.Duration) {
			a.Begin(id, time.Now().Add(patience))
			time.Sleep(answer)
			synctest.Wait()
			a.End()
		}
		for id := range uint64(20) {
			wait(id, 6*time.Second, time.Second) // until 20 s
		}
		wait(20, 3*time.Second, 5*time.Second) // until 25 s, its deadline is at 23 s
		wait(21, 6*time.Second, time.Second)
		time.Sleep(time.Minute)
		wait(22, time.Second, 2*time.Second) // from 86 s on
		a.Stop()
		want := map[uint64]time.Duration{20: 23 * time.Second, 22: 87 * time.Second}
		if len(ended) != len(want) || ended[20] != want[20] || ended[22] != want[22] {
			t.Errorf("ended %v, want %v", ended, want)
		}
	})
}
