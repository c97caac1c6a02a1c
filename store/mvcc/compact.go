package mvcc

// Compact forgets the versions that were replaced or deleted at a revision or before it: at once, for whoever
// reads. It fails with ErrCompacted and ErrFuture.
func (k *Keyspace) Compact(revision int64) Outcome {
	switch {
	case revision <= k.compacted:
		return k.refused(ErrCompacted)
	case revision > k.revision:
		return k.refused(ErrFuture)
	}
	k.freeable = k.log.search(revision + 1)
	superseded := k.log.supersededBefore(k.freeable)
	k.size -= superseded - k.compactedBytes
	k.compactedBytes, k.compacted = superseded, revision
	return Outcome{Revision: k.revision}
}

// Freeable and FreedUpTo say how many changes were superseded by compactions since the start, and of how many of them
// the memory is free.
func (k *Keyspace) Freeable() int  { return k.freeable }
func (k *Keyspace) FreedUpTo() int { return k.freed }

// Freed reports whether the memory of all that was compacted is free.
func (k *Keyspace) Freed() bool { return k.freed == k.freeable }

// Free frees what the next n changes that were compacted have superseded, and returns how many bytes that was.
// Nobody sees a difference.
func (k *Keyspace) Free(n int) (bytes uint64) {
	before := k.freed
	for ; n > 0 && k.freed < k.freeable; n-- {
		v := k.log.at(k.freed)
		if old := k.older.last(v.position()); old != nil && old.key == v.key {
			k.older.remove(old)
		}
		if v.Deleted() {
			k.remove(v)
		}
		k.freed++
	}
	bytes = k.log.supersededBefore(k.freed) - k.log.supersededBefore(before)
	// Views share the list of chunks, so dropping some of them copies it: not for a few of very many. The changes of
	// the revision itself stay: a watch may begin there.
	if all := k.log.end - k.log.start; k.Freed() || k.freed-k.log.start > all/16 {
		k.log.drop(min(k.freed, k.log.search(k.compacted)))
	}
	return bytes
}

// remove removes a deletion.
func (k *Keyspace) remove(v *Version) {
	if k.newest(v.key) == v {
		k.heads.remove(v)
	} else {
		k.older.remove(v)
	}
}
