package logtime

import (
	"math"
	"time"
)

// Time is a moment in nanoseconds since 1970 UTC, up to the year 2554. It is
// unsigned so that the longest TTL still ends at a moment it can express. As a
// deadline, 0 means never.
type Time uint64

// MaxTTL is the longest time to live a command can carry, about 292 years.
const MaxTTL = time.Duration(math.MaxInt64)

const nanosPerSecond = uint64(time.Second)

// Of converts t, clamped to the range of Time.
func Of(t time.Time) Time {
	seconds, nanos := t.Unix(), uint64(t.Nanosecond())
	if seconds < 0 {
		return 0
	}
	if uint64(seconds) > (math.MaxUint64-nanos)/nanosPerSecond {
		return math.MaxUint64
	}
	return Time(uint64(seconds)*nanosPerSecond + nanos)
}

// Std converts t to the time of the standard library, in UTC.
func (t Time) Std() time.Time {
	return time.Unix(int64(uint64(t)/nanosPerSecond), int64(uint64(t)%nanosPerSecond)).UTC()
}

// Sub returns how much later t is than u, clamped to what a duration can express.
func (t Time) Sub(u Time) time.Duration {
	switch {
	case t < u:
		return -u.Sub(t)
	case t-u > math.MaxInt64:
		return math.MaxInt64
	}
	return time.Duration(t - u)
}

// Add returns the moment d after t, clamped to the range of Time.
func (t Time) Add(d time.Duration) Time {
	if d < 0 {
		back := Time(-uint64(d))
		if back > t {
			return 0
		}
		return t - back
	}
	if Time(d) > math.MaxUint64-t {
		return math.MaxUint64
	}
	return t + Time(d)
}
