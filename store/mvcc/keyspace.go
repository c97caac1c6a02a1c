package mvcc

import (
	"errors"
	"iter"
	"math"

	"etcd/store/storepb"
)

// Why a command does nothing, or a read has no answer.
var (
	ErrCompacted     = errors.New("the revision was compacted")
	ErrFuture        = errors.New("the revision is still to come")
	ErrKeyNotFound   = errors.New("the key is not there")
	ErrLeaseNotFound = errors.New("the lease is not there")
	ErrNoSpace       = errors.New("the quota is exceeded")
	ErrTooLarge      = errors.New("the transaction looks at too many keys")
)

// never is before every revision.
const never = -1

// state is what a keyspace and a view of it have in common: all that is read.
type state struct {
	heads btree // the newest version of each key, be it a deletion
	older btree // the others
	log   changeLog

	revision  int64
	compacted int64 // the last revision that was, never if none was
	size      uint64
}

// Keyspace is the keyspace. It must be used by one goroutine at a time.
type Keyspace struct {
	state
	// puts and deletions are how many keys the command that is carried out has written and deleted.
	puts, deletions int
	// compactedBytes is what the log says was superseded up to the revision that was compacted.
	compactedBytes uint64
	// What was superseded by the changes before the position freed is gone from memory. What is before
	// freeable shall be.
	freed, freeable int
}

// New returns an empty keyspace.
func New() *Keyspace { return &Keyspace{state: state{revision: 1, compacted: never}} }

// View is a keyspace at one moment. It may be used in any goroutine while the keyspace goes on.
type View struct{ state }

// View returns the keyspace as it is now. It takes constant time; what it shares with the keyspace is copied
// piece by piece when that changes.
func (k *Keyspace) View() *View {
	v := &View{k.state}
	v.heads, v.older = k.heads.view(), k.older.view()
	return v
}

// Revision returns the current revision.
func (s *state) Revision() int64 { return s.revision }

// Compacted returns the last revision that was compacted, -1 if none was.
func (s *state) Compacted() int64 { return s.compacted }

// Size returns how many bytes the versions have that are not compacted: keys, values, and [Overhead] for each.
func (s *state) Size() uint64 { return s.size }

// Len returns how many keys there are.
func (s *state) Len() int { return s.heads.total().live }

// Used reports whether anything was ever done with the keyspace.
func (s *state) Used() bool { return s.revision > 1 || s.compacted != never }

// Changes returns the changes from a revision on, in their order. Those of compacted revisions are not complete.
func (s *state) Changes(from int64) iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		for v := range s.log.from(s.log.search(from)) {
			if v.Mod <= s.compacted && (v.Deleted() || s.isReplaced(v)) {
				continue
			}
			if !yield(v) {
				return
			}
		}
	}
}

// Versions returns all versions that are not compacted, in the order of their keys, and of their revisions.
func (s *state) Versions() iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		older, stop := iter.Pull(s.older.from(position{mod: math.MinInt64}))
		defer stop()
		next, more := older()
		for head := range s.heads.from(position{mod: math.MinInt64}) {
			for more && next.key == head.key {
				v := next
				after := head
				if next, more = older(); more && next.key == head.key {
					after = next
				}
				if after.Mod > s.compacted && !s.isGone(v) && !yield(v) {
					return
				}
			}
			if !s.isGone(head) && !yield(head) {
				return
			}
		}
	}
}

// isReplaced reports whether there was a later version of the key that was compacted as well.
func (s *state) isReplaced(v *Version) bool {
	head := s.newest(v.key)
	switch {
	case head == v:
		return false
	case s.older.next(v.position()) != v: // it is free already
		return true
	}
	after := s.older.next(position{v.key, v.Mod, v.sub + 1})
	if after == nil || after.key != v.key {
		after = head
	}
	return after.Mod <= s.compacted
}

// isGone reports whether a version is a deletion that was compacted.
func (s *state) isGone(v *Version) bool { return v.Deleted() && v.Mod <= s.compacted }

// head returns the newest version of a key, nil if there is none or it was deleted.
func (s *state) head(key string) *Version {
	if v := s.newest(key); v != nil && !v.Deleted() {
		return v
	}
	return nil
}

// newest returns the newest version of a key, be it a deletion, nil if there is none.
func (s *state) newest(key string) *Version {
	if v := s.heads.next(position{key: key, mod: math.MinInt64}); v != nil && v.key == key {
		return v
	}
	return nil
}

// Put stores a value. The keyspace keeps the value and does not change it. room is how many bytes may be added.
func (k *Keyspace) Put(m *storepb.Put, room uint64) Outcome {
	if !hasRoom(k.costOfPut(m), room) {
		return k.refused(ErrNoSpace)
	}
	if err := k.checkPut(m); err != nil {
		return k.refused(err)
	}
	k.begin()
	return k.done(Step{Prev: k.put(m)})
}

// DeleteRange deletes the keys of a range.
func (k *Keyspace) DeleteRange(m *storepb.DeleteRange) Outcome {
	k.begin()
	return k.done(Step{Deleted: k.deleteRange(m)})
}

// checkPut returns why a put is not possible.
func (s *state) checkPut(m *storepb.Put) error {
	if m.GetLease() != 0 {
		return ErrLeaseNotFound
	}
	if (m.GetIgnoreValue() || m.GetIgnoreLease()) && s.head(string(m.GetKey())) == nil {
		return ErrKeyNotFound
	}
	return nil
}

// put carries out a put, and returns what was there before.
func (k *Keyspace) put(m *storepb.Put) (prev *Version) {
	old := k.newest(string(m.GetKey()))
	value, lease := m.GetValue(), m.GetLease()
	var v *Version
	if old == nil {
		v = newVersion(string(m.GetKey()), value)
	} else {
		v = newVersion(old.key, value)
	}
	v.Mod, v.Create, v.Count, v.Lease = k.revision+1, k.revision+1, 1, lease
	if old != nil && !old.Deleted() {
		prev = old
		v.Create, v.Count = old.Create, old.Count+1
		if m.GetIgnoreValue() {
			v.value, v.size = old.value, old.size
		}
		if m.GetIgnoreLease() {
			v.Lease = old.Lease
		}
	}
	k.add(v, old)
	return prev
}

// deleteRange deletes the keys of a range, and returns what was there.
func (k *Keyspace) deleteRange(m *storepb.DeleteRange) (deleted []*Version) {
	deleted = k.newestIn(newSpan(m.GetKey(), m.GetRangeEnd()))
	for _, old := range deleted {
		v := newVersion(old.key, nil)
		v.Mod = k.revision + 1
		k.add(v, old)
	}
	return deleted
}

// add makes a version the newest of its key; old was that before, nil if there was none.
func (k *Keyspace) add(v, old *Version) {
	v.sub = uint32(k.puts + k.deletions)
	k.size += v.bytes()
	superseded := uint64(0)
	if v.Deleted() {
		k.deletions++
		superseded = v.bytes() // a deletion is of no use any more once it is compacted
	} else {
		k.puts++
	}
	if old == nil {
		k.heads.put(v)
	} else {
		k.heads.replace(old, v)
		k.older.put(old)
		if !old.Deleted() {
			superseded += old.bytes()
		}
	}
	k.log.append(v, superseded)
}

// begin begins a command that is possible.
func (k *Keyspace) begin() { k.puts, k.deletions = 0, 0 }

// done ends it.
func (k *Keyspace) done(step Step) Outcome {
	if k.puts+k.deletions > 0 {
		k.revision++
	}
	return Outcome{Revision: k.revision, Puts: k.puts, Deletions: k.deletions, Step: step}
}

// refused ends a command that does nothing.
func (s *state) refused(err error) Outcome { return Outcome{Revision: s.revision, Err: err} }

// hasRoom reports whether so many bytes may be added. What adds nothing always may.
func hasRoom(bytes, room uint64) bool { return bytes == 0 || bytes <= room }

// costOfPut returns how many bytes a put may add: a value that it keeps counts again.
func (s *state) costOfPut(m *storepb.Put) uint64 {
	value := uint64(len(m.GetValue()))
	if m.GetIgnoreValue() {
		if old := s.head(string(m.GetKey())); old != nil {
			value = uint64(old.size)
		}
	}
	return Overhead + uint64(len(m.GetKey())) + value
}
