package transport

import "time"

// allowances is a rate limiter for each of many keys: burst times at once, and then once in
// every. It tracks at most most keys; a new one is refused while there is no room for it.
type allowances[K comparable] struct {
	burst int
	every time.Duration
	most  int
	of    map[K]*allowance
}

type allowance struct {
	left    int           // times that are allowed now
	since   time.Duration // when left was last counted
	omitted uint64        // times that were refused since the last that was allowed
}

// take reports whether it may happen once more, and how often it was refused since the last
// time. now is the time since any fixed moment.
func (a *allowances[K]) take(key K, now time.Duration) (omitted uint64, ok bool) {
	one := a.of[key]
	if one == nil {
		if len(a.of) >= a.most {
			a.forget(now)
		}
		if len(a.of) >= a.most {
			return 0, false
		}
		one = &allowance{left: a.burst, since: now}
		if a.of == nil {
			a.of = make(map[K]*allowance)
		}
		a.of[key] = one
	}
	one.refill(now, a.burst, a.every)
	if one.left == 0 {
		one.omitted++
		return 0, false
	}
	one.left--
	omitted, one.omitted = one.omitted, 0
	return omitted, true
}

// forget evicts the keys whose allowance is full again.
func (a *allowances[K]) forget(now time.Duration) {
	for key, one := range a.of {
		if one.refill(now, a.burst, a.every); one.left == a.burst {
			delete(a.of, key)
		}
	}
}

func (a *allowance) refill(now time.Duration, burst int, every time.Duration) {
	if more := int((now - a.since) / every); more > 0 {
		a.left = min(a.left+more, burst)
		a.since += time.Duration(more) * every
	}
}
