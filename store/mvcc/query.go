package mvcc

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"

	"etcd/store/storepb"
)

// span is the keys of a range.
type span struct {
	from, to string // to is the first key behind it
	single   bool   // it is one key, from
	open     bool   // there is no end
}

// newSpan returns the keys from a key up to a range end, see [storepb.DeleteRange].
func newSpan(key, end []byte) span {
	switch {
	case len(end) == 0:
		return span{from: string(key), single: true}
	case len(end) == 1 && end[0] == 0:
		return span{from: string(key), open: true}
	}
	return span{from: string(key), to: string(end)}
}

// isBefore reports whether a key is before the end of the span.
func (s *span) isBefore(key string) bool {
	if s.single {
		return key == s.from
	}
	return s.open || key < s.to
}

// heads returns the newest versions of the keys in a span; live leaves out deletions.
func (s *state) headsIn(keys span, live bool) iter.Seq[*Version] {
	at := position{key: keys.from, mod: math.MinInt64}
	all := s.heads.from(at)
	if live {
		all = s.heads.live(at)
	}
	return func(yield func(*Version) bool) {
		for v := range all {
			if !keys.isBefore(v.key) || !yield(v) {
				return
			}
		}
	}
}

// newestIn returns the keys in a span as they are now.
func (s *state) newestIn(keys span) []*Version {
	if keys.single {
		if v := s.head(keys.from); v != nil {
			return []*Version{v}
		}
		return nil
	}
	return slices.Collect(s.headsIn(keys, true))
}

// countIn returns how many keys are in a span, deleted ones included or not.
func (s *state) countIn(keys span) counts {
	before := s.heads.before(position{key: keys.from, mod: math.MinInt64})
	upTo := s.heads.total()
	switch {
	case keys.single:
		upTo = s.heads.before(position{key: keys.from, mod: math.MaxInt64})
	case !keys.open:
		upTo = s.heads.before(position{key: max(keys.from, keys.to), mod: math.MinInt64})
	}
	return counts{all: upTo.all - before.all, live: upTo.live - before.live}
}

// Weight returns how many keys a range has to look at, so that the caller can tell a short one from one that
// should not delay others.
func (s *state) Weight(q *storepb.Range) int {
	if len(q.GetRangeEnd()) == 0 {
		return 1
	}
	plain, limit := s.isPlain(q), q.GetLimit()
	if plain && q.GetCountOnly() {
		return 1 // the pages have counted them
	}
	n := s.countIn(newSpan(q.GetKey(), q.GetRangeEnd())).all
	if plain && limit > 0 {
		n = min(n, int(min(limit, math.MaxInt32)))
	}
	return n
}

// isPlain reports whether a range asks for the newest versions in the order of their keys, whatever they are.
func (s *state) isPlain(q *storepb.Range) bool {
	return q.GetRevision() <= 0 && !hasFilter(q) && q.GetOrder() == storepb.Target_TARGET_KEY && !q.GetDescending()
}

func hasFilter(q *storepb.Range) bool {
	return q.GetMinMod() != 0 || q.GetMaxMod() != 0 || q.GetMinCreate() != 0 || q.GetMaxCreate() != 0
}

// Range reads the keys of a range. It fails with ErrCompacted and ErrFuture.
func (s *state) Range(q *storepb.Range) (Found, error) {
	if err := s.checkRange(q); err != nil {
		return Found{}, err
	}
	return s.find(q), nil
}

// checkRange returns why a range cannot be read.
func (s *state) checkRange(q *storepb.Range) error {
	switch at := q.GetRevision(); {
	case at <= 0:
		return nil
	case at > s.revision:
		return ErrFuture
	case at < s.compacted:
		return ErrCompacted
	}
	return nil
}

// find carries out a range that is possible.
func (s *state) find(q *storepb.Range) (found Found) {
	keys, limit := newSpan(q.GetKey(), q.GetRangeEnd()), q.GetLimit()
	if s.isPlain(q) && !keys.single {
		found.Count = int64(s.countIn(keys).live)
		if q.GetCountOnly() || found.Count == 0 {
			return found
		}
		most := found.Count
		if limit > 0 {
			most = min(most, limit)
		}
		found.Versions = make([]*Version, 0, most)
		for v := range s.headsIn(keys, true) {
			if found.Versions = append(found.Versions, v); int64(len(found.Versions)) == most {
				break
			}
		}
		found.More = most < found.Count
		return found
	}
	if q.GetRevision() > 0 {
		found.Versions = s.allAt(keys, q.GetRevision())
	} else {
		found.Versions = s.newestIn(keys)
	}
	found.Count = int64(len(found.Versions))
	if q.GetCountOnly() {
		found.Versions = nil
		return found
	}
	if hasFilter(q) {
		found.Versions = slices.DeleteFunc(found.Versions, func(v *Version) bool { return !passes(q, v) })
	}
	order(q, found.Versions)
	if limit > 0 && int64(len(found.Versions)) > limit {
		found.Versions, found.More = found.Versions[:limit], true
	}
	return found
}

// allAt returns the keys in a span as they were at a revision.
func (s *state) allAt(keys span, revision int64) (all []*Version) {
	for head := range s.headsIn(keys, false) {
		v := head
		if head.Mod > revision {
			v = s.older.last(position{key: head.key, mod: revision, sub: math.MaxUint32})
			if v == nil || v.key != head.key {
				continue
			}
		}
		if !v.Deleted() {
			all = append(all, v)
		}
	}
	return all
}

// passes reports whether a version is within the bounds of a range.
func passes(q *storepb.Range, v *Version) bool {
	within := func(n, least, most int64) bool { return (least == 0 || n >= least) && (most == 0 || n <= most) }
	return within(v.Mod, q.GetMinMod(), q.GetMaxMod()) && within(v.Create, q.GetMinCreate(), q.GetMaxCreate())
}

// order sorts what is in the order of the keys.
func order(q *storepb.Range, all []*Version) {
	if q.GetOrder() == storepb.Target_TARGET_KEY {
		if q.GetDescending() {
			slices.Reverse(all)
		}
		return
	}
	slices.SortStableFunc(all, func(a, b *Version) int {
		c := compareBy(q.GetOrder(), a, b)
		if q.GetDescending() {
			return -c
		}
		return c
	})
}

func compareBy(target storepb.Target, a, b *Version) int {
	switch target {
	case storepb.Target_TARGET_VALUE:
		return bytes.Compare(a.Value(), b.Value())
	case storepb.Target_TARGET_KEY:
		return strings.Compare(a.key, b.key)
	}
	return cmp.Compare(a.number(target), b.number(target))
}

// number returns a property of a version that is a number.
func (v *Version) number(target storepb.Target) int64 {
	switch target {
	case storepb.Target_TARGET_VERSION:
		return v.Count
	case storepb.Target_TARGET_CREATE:
		return v.Create
	case storepb.Target_TARGET_MOD:
		return v.Mod
	case storepb.Target_TARGET_LEASE:
		return v.Lease
	}
	return 0
}
