package actors

import (
	"testing"
	"time"
)

func TestPeak(t *testing.T) {
	var p peak
	start := time.Unix(1000, 0)
	read := func(after time.Duration, present, want int64) {
		t.Helper()
		if got := p.read(start.Add(after), present); got != want {
			t.Errorf("after %s: peak %d, want %d", after, got, want)
		}
	}
	read(0, 0, 0)
	for _, v := range []int64{3, 7, 2} {
		p.note(v)
	}
	read(time.Second, 2, 7)
	read(59*time.Second, 0, 7) // somebody else has read it since
	read(60*time.Second, 1, 7) // a new window begins
	p.note(4)
	read(119*time.Second, 0, 7)
	read(120*time.Second, 0, 4) // the 7 is two windows old
	p.note(9)
	read(300*time.Second, 5, 9) // nobody has read it since
	read(301*time.Second, 6, 9)
	read(360*time.Second, 1, 5)
}
