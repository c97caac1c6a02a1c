package logtime_test

import (
	"math"
	"testing"
	"time"

	"etcd/store/logtime"
)

func TestOf(t *testing.T) {
	tests := []struct {
		in   time.Time
		want logtime.Time
	}{
		{time.Unix(0, 0), 0},
		{time.Unix(0, -1), 0},
		{time.Unix(1, 5), 1_000_000_005},
		{time.Date(2318, 1, 1, 0, 0, 0, 7, time.UTC), 10_981_785_600_000_000_007},
		{time.Unix(18_446_744_073, 709_551_615), math.MaxUint64},
		{time.Unix(18_446_744_073, 709_551_616), math.MaxUint64},
		{time.Unix(math.MaxInt64, 0), math.MaxUint64},
		{time.Time{}, 0},
	}
	for _, tt := range tests {
		if got := logtime.Of(tt.in); got != tt.want {
			t.Errorf("Of(%v) = %d, want %d", tt.in, got, tt.want)
		}
	}
}

func TestStdRoundTrip(t *testing.T) {
	for _, in := range []logtime.Time{0, 1, 999_999_999, 1_785_000_000_123_456_789, math.MaxInt64 + 1, math.MaxUint64} {
		if got := logtime.Of(in.Std()); got != in {
			t.Errorf("%d came back as %d", in, got)
		}
	}
	if got := logtime.Time(1_500_000_000_000_000_001).Std().Format(time.RFC3339Nano); got != "2017-07-14T02:40:00.000000001Z" {
		t.Errorf("got %s", got)
	}
}

func TestAddIsClamped(t *testing.T) {
	tests := []struct {
		from logtime.Time
		d    time.Duration
		want logtime.Time
	}{
		{10, 5, 15},
		{10, -5, 5},
		{10, -11, 0},
		{10, math.MinInt64, 0},
		{math.MaxUint64 - 5, 5, math.MaxUint64},
		{math.MaxUint64 - 5, 6, math.MaxUint64},
		{math.MaxUint64, logtime.MaxTTL, math.MaxUint64},
		{math.MaxUint64, math.MinInt64, math.MaxUint64 - 1<<63},
	}
	for _, tt := range tests {
		if got := tt.from.Add(tt.d); got != tt.want {
			t.Errorf("%d + %d = %d, want %d", tt.from, tt.d, got, tt.want)
		}
	}
}
