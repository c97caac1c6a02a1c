package server

import "testing"

func TestRoomForGarbage(t *testing.T) {
	for _, test := range []struct {
		live    uint64
		percent int
	}{
		{0, 100}, {100 << 20, 100}, {128 << 20, 100}, {160 << 20, 80}, {256 << 20, 50}, {8 << 30, 50},
	} {
		if got := percentOf(test.live); got != test.percent {
			t.Errorf("%d MiB may grow by %d %%, want %d", test.live>>20, got, test.percent)
		}
	}
}
