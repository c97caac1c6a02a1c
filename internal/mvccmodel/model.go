package mvccmodel

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"etcd/store/storepb"
)

// Model is a keyspace. Copies share what was written, so only one of them may be written to.
type Model struct {
	Revision, Compacted int64

	versions []Version // in the order in which they were written
}

// Version is a key as it was written once, or its deletion.
type Version struct {
	Key, Value                string
	Deleted                   bool
	Mod, Create, Count, Lease int64
	Sub                       int // its place among the changes of its revision
}

// Of the errors, as [Outcome.Err] has them.
const (
	Compacted     = "compacted"
	Future        = "future revision"
	KeyNotFound   = "key not found"
	LeaseNotFound = "lease not found"
	NoSpace       = "no space"
)

// overhead is what a version counts in bytes beside its key and its value.
const overhead = 128

// New returns an empty keyspace.
func New() *Model { return &Model{Revision: 1, Compacted: -1} }

// Apply carries out a command, if there is room for so many bytes. ok is false if it is none about the keyspace.
func (m *Model) Apply(c *storepb.Command, room uint64) (o Outcome, ok bool) {
	switch kind := c.GetKind().(type) {
	case *storepb.Command_Put:
		return m.Put(kind.Put, room), true
	case *storepb.Command_DeleteRange:
		return m.DeleteRange(kind.DeleteRange), true
	case *storepb.Command_Txn:
		return m.Txn(kind.Txn, room), true
	case *storepb.Command_Compact:
		return m.Compact(kind.Compact.GetRevision()), true
	}
	return o, false
}

// Put stores a value, if there is room for so many bytes.
func (m *Model) Put(p *storepb.Put, room uint64) Outcome {
	if m.costOfPut(p) > room {
		return m.refuse(NoSpace)
	}
	if why := m.checkPut(p); why != "" {
		return m.refuse(why)
	}
	return m.end(m.put(p))
}

// DeleteRange deletes keys.
func (m *Model) DeleteRange(d *storepb.DeleteRange) Outcome { return m.end(m.deleteRange(d)) }

// Txn carries out a transaction, if there is room for so many bytes.
func (m *Model) Txn(t *storepb.Txn, room uint64) Outcome {
	if cost := m.costOfTxn(t); cost > 0 && cost > room {
		return m.refuse(NoSpace)
	}
	before := *m
	if why := before.check(t); why != "" {
		return m.refuse(why)
	}
	return m.end(m.run(t, &before))
}

// Compact forgets what was replaced or deleted at a revision or before it.
func (m *Model) Compact(revision int64) Outcome {
	switch {
	case revision <= m.Compacted:
		return m.refuse(Compacted)
	case revision > m.Revision:
		return m.refuse(Future)
	}
	m.Compacted = revision
	return Outcome{Revision: m.Revision}
}

// Range reads keys.
func (m *Model) Range(q *storepb.Range) Outcome {
	if why := m.checkRange(q); why != "" {
		return m.refuse(why)
	}
	return Outcome{Revision: m.Revision, Step: m.find(q)}
}

// ReadTxn carries out a transaction that only reads.
func (m *Model) ReadTxn(t *storepb.Txn) Outcome {
	if why := m.check(t); why != "" {
		return m.refuse(why)
	}
	return Outcome{Revision: m.Revision, Step: m.run(t, m)}
}

// Versions returns the versions that are not compacted, by key and age.
func (m *Model) Versions() []Version {
	var kept []Version
	superseded := make(map[string]bool) // at the revision that was compacted or before it
	for _, v := range slices.Backward(m.versions) {
		gone := superseded[v.Key] || v.Deleted && v.Mod <= m.Compacted
		if v.Mod <= m.Compacted {
			superseded[v.Key] = true
		}
		if !gone {
			kept = append(kept, v)
		}
	}
	slices.Reverse(kept)
	slices.SortStableFunc(kept, func(a, b Version) int { return strings.Compare(a.Key, b.Key) })
	return kept
}

// Changes returns the changes from a revision on. Of those at the revision that was compacted or before it, it
// leaves out what was replaced or deleted then.
func (m *Model) Changes(from int64) []Version {
	changes := slices.DeleteFunc(m.Versions(), func(v Version) bool { return v.Mod < from })
	slices.SortFunc(changes, func(a, b Version) int { return cmp.Or(cmp.Compare(a.Mod, b.Mod), cmp.Compare(a.Sub, b.Sub)) })
	return changes
}

// Size returns how many bytes the versions count that are not compacted.
func (m *Model) Size() (n uint64) {
	for _, v := range m.Versions() {
		n += overhead + uint64(len(v.Key)+len(v.Value))
	}
	return n
}

// Len returns how many keys there are.
func (m *Model) Len() int { return len(m.keysAt(m.Revision)) }

func (m *Model) refuse(why string) Outcome { return Outcome{Revision: m.Revision, Err: why} }

// end ends a command; what it has written is of the next revision.
func (m *Model) end(s Step) Outcome {
	o := Outcome{Revision: m.Revision, Step: s}
	for _, v := range slices.Backward(m.versions) {
		switch {
		case v.Mod <= m.Revision:
			m.Revision = o.Revision
			return o
		case v.Deleted:
			o.Deletions++
		default:
			o.Puts++
		}
		o.Revision = v.Mod
	}
	m.Revision = o.Revision
	return o
}

// keysAt returns the keys as they were at a revision.
func (m *Model) keysAt(revision int64) map[string]Version {
	keys := make(map[string]Version)
	for _, v := range m.versions {
		switch {
		case v.Mod > revision:
		case v.Deleted:
			delete(keys, v.Key)
		default:
			keys[v.Key] = v
		}
	}
	return keys
}

// within reports whether a key is in a range.
func within(key string, from, end []byte) bool {
	switch {
	case len(end) == 0:
		return key == string(from)
	case string(end) == "\x00":
		return key >= string(from)
	}
	return key >= string(from) && key < string(end)
}

// in returns the keys in a range as they were at a revision, in their order.
func (m *Model) in(from, end []byte, revision int64) (found []Version) {
	keys := m.keysAt(revision)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if within(key, from, end) {
			found = append(found, keys[key])
		}
	}
	return found
}

// now returns a key as it is in the middle of a command, nil if it is not there.
func (m *Model) now(key []byte) *Version {
	for _, v := range slices.Backward(m.versions) {
		switch {
		case v.Key != string(key):
		case v.Deleted:
			return nil
		default:
			return &v
		}
	}
	return nil
}

func (m *Model) write(v Version) {
	v.Mod = m.Revision + 1
	if n := len(m.versions); n > 0 && m.versions[n-1].Mod == v.Mod {
		v.Sub = m.versions[n-1].Sub + 1
	}
	if !v.Deleted && v.Create == 0 {
		v.Create = v.Mod
	}
	m.versions = append(m.versions, v)
}
