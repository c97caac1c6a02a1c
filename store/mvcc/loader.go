package mvcc

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Loader makes a keyspace of what another one has said of itself.
type Loader struct {
	k       *Keyspace
	last    *Version // that was added
	changes []change // that belong into the log
}

// change is a version and what it has superseded, in bytes.
type change struct {
	v          *Version
	superseded uint64
}

// maxRevision is one that no keyspace reaches, and from which it could go on.
const maxRevision = math.MaxInt64 / 2

// NewLoader begins with what [Keyspace.Revision] and [Keyspace.Compacted] say.
func NewLoader(revision, compacted int64) (*Loader, error) {
	if revision < 1 || revision > maxRevision || compacted < never || compacted > revision {
		return nil, fmt.Errorf("revision %d, compacted %d", revision, compacted)
	}
	k := New()
	k.revision, k.compacted = revision, compacted
	return &Loader{k: k}, nil
}

// Entry is a version for [Loader.Add]; its fields are those of [Version].
type Entry struct {
	Key, Value         []byte
	Mod, Create, Count int64
	Lease              int64
	Sub                uint32
}

// Add adds a version, in the order of [Keyspace.Versions]. The loader keeps the value, and not the key. It fails
// if no keyspace could have it.
func (l *Loader) Add(e *Entry) error {
	last := l.last
	sameKey := last != nil && last.key == string(e.Key)
	v := &Version{}
	if sameKey {
		*v = *newVersion(last.key, e.Value)
	} else {
		*v = *newVersion(string(e.Key), e.Value)
	}
	v.sub, v.Mod, v.Create, v.Count, v.Lease = e.Sub, e.Mod, e.Create, e.Count, e.Lease
	if err := l.check(v, sameKey); err != nil {
		return err
	}
	if sameKey {
		l.k.heads.replace(last, v)
		l.k.older.put(last)
	} else {
		l.k.heads.put(v)
	}
	l.k.size += v.bytes()
	if v.Mod >= l.k.compacted {
		c := change{v: v}
		if sameKey && !last.Deleted() {
			c.superseded = last.bytes()
		}
		if v.Deleted() {
			c.superseded += v.bytes()
		}
		l.changes = append(l.changes, c)
	}
	l.last = v
	return nil
}

func (l *Loader) check(v *Version, sameKey bool) error {
	last := l.last
	switch {
	case len(v.key) == 0:
		return errors.New("an empty key")
	case last != nil && last.compare(v.key, v.Mod, v.sub) >= 0:
		return errors.New("out of order")
	case v.Mod < 2 || v.Mod > l.k.revision || v.sub == math.MaxUint32:
		return fmt.Errorf("revision %d.%d", v.Mod, v.sub)
	case v.Deleted() && (v.Count != 0 || v.Lease != 0 || v.size != 0):
		return errors.New("a deletion with a content")
	case v.Deleted() && (!sameKey || last.Deleted() || v.Mod <= l.k.compacted):
		return errors.New("a deletion of nothing")
	case v.Lease < 0 || !v.Deleted() && !l.follows(v, sameKey):
		return errors.New("impossible numbers")
	case sameKey && v.Mod <= l.k.compacted:
		return errors.New("a version that was compacted")
	}
	return nil
}

// follows reports whether a version that is no deletion has the numbers that its key gets after the version before
// it, which is not there if it was compacted.
func (l *Loader) follows(v *Version, sameKey bool) bool {
	switch {
	case sameKey && !l.last.Deleted():
		return v.Create == l.last.Create && v.Count > 1 && v.Count-1 == l.last.Count
	case sameKey || v.Mod > l.k.compacted:
		return v.Create == v.Mod && v.Count == 1
	}
	return v.Create >= 2 && v.Count >= 1 && (v.Create == v.Mod || v.Create < v.Mod && v.Count > 1)
}

// Keyspace returns the keyspace with everything that was added.
func (l *Loader) Keyspace() *Keyspace {
	k := l.k
	slices.SortFunc(l.changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.v.Mod, b.v.Mod), cmp.Compare(a.v.sub, b.v.sub))
	})
	for _, c := range l.changes {
		k.log.append(c.v, c.superseded)
	}
	k.freeable = k.log.search(k.compacted + 1)
	k.freed = k.freeable
	k.compactedBytes = k.log.supersededBefore(k.freeable)
	return k
}
