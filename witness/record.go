package witness

import (
	"errors"
	"fmt"
	"maps"

	"etcd/wal"
)

// Record is what a member has shown to have on its disk.
type Record struct {
	// Term is its highest term.
	Term uint64
	// Index is the last entry that it had from the leader of that term, 0 if none. In a
	// later term a new leader may truncate entries that are not committed, and until that
	// leader's first entry has arrived nobody can say which.
	Index uint64
	// Committed is the last entry that it had and knew to be committed: that is never
	// truncated.
	Committed uint64
}

// with returns the record after the member has shown a reach. The order in which reaches
// arrive does not matter.
func (r Record) with(reach wal.Reach) Record {
	if reach.Term > r.Term {
		r.Term, r.Index = reach.Term, 0
	}
	if reach.Term == r.Term && reach.LastTerm == r.Term {
		r.Index = max(r.Index, reach.Last)
	}
	r.Committed = max(r.Committed, min(reach.Last, reach.Commit))
	return r
}

// lacks reports whether a log with this reach has lost something that was shown before.
func (r Record) lacks(reach wal.Reach) bool {
	switch {
	case reach.Term < r.Term, reach.Last < r.Committed:
		return true
	case reach.Term > r.Term || r.Index == 0:
		return false
	}
	return reach.LastTerm != r.Term || reach.Last < r.Index
}

// EncodeReach encodes a reach for handshakes and frames.
func EncodeReach(r wal.Reach) string {
	return fmt.Sprintf("%x-%x-%x-%x", r.Term, r.LastTerm, r.Last, r.Commit)
}

var errReach = errors.New("witness: this says of no log how far it reaches")

// DecodeReach reads what EncodeReach wrote.
func DecodeReach(text string) (r wal.Reach, err error) {
	if _, err := fmt.Sscanf(text, "%x-%x-%x-%x", &r.Term, &r.LastTerm, &r.Last, &r.Commit); err != nil || text != EncodeReach(r) {
		return wal.Reach{}, fmt.Errorf("%w: %.100q", errReach, text)
	}
	return r, nil
}

// Verdict decides about a process that connects as a member.
type Verdict uint8

const (
	// Welcome: there is no objection.
	Welcome Verdict = iota
	// Rival: another process with its identity is connected.
	Rival
	// Behind: it lacks what the member has had on its disk, so that data was lost.
	Behind
)

// maxRecords bounds the members that are remembered.
const maxRecords = 1000

// Book holds what is known of the members. It is immutable: its methods return a new one.
type Book struct {
	records map[uint64]Record
	met     map[uint64]uint64 // the process of each member that was welcomed last, by its nonce
}

// NewBook makes a book of remembered records, which may be nil.
func NewBook(records map[uint64]Record) *Book {
	return &Book{records: records, met: map[uint64]uint64{}}
}

// Judge decides whether a process may act as a member. nonce is the random number of that
// process, reach how far its log reached when it connected, and rival says that another
// process is connected under that ID. A process that was welcomed is not judged again: its
// handshakes may overtake each other.
func (b *Book) Judge(member, nonce uint64, reach wal.Reach, rival bool) Verdict {
	met, known := b.met[member]
	switch {
	case rival:
		return Rival
	case known && met == nonce:
		return Welcome
	case b.records[member].lacks(reach):
		return Behind
	}
	return Welcome
}

// Meet notes that a process of a member was welcomed.
func (b *Book) Meet(member, nonce uint64, reach wal.Reach) *Book {
	next := b.See(member, reach)
	if next.met[member] == nonce || len(next.met) >= maxRecords {
		return next
	}
	met := maps.Clone(next.met)
	met[member] = nonce
	return &Book{records: next.records, met: met}
}

// See notes how far the log of a member reaches, as told by a process that was welcomed.
func (b *Book) See(member uint64, reach wal.Reach) *Book {
	old, known := b.records[member]
	if record := old.with(reach); record != old && (known || len(b.records) < maxRecords) {
		records := maps.Clone(b.records)
		if records == nil {
			records = map[uint64]Record{}
		}
		records[member] = record
		return &Book{records: records, met: b.met}
	}
	return b
}

// Forget drops members that were removed from the cluster: their IDs never come back.
func (b *Book) Forget(members []uint64) *Book {
	next := b
	for _, id := range members {
		_, recorded := next.records[id]
		_, met := next.met[id]
		if !recorded && !met {
			continue
		}
		next = &Book{records: maps.Clone(next.records), met: maps.Clone(next.met)}
		delete(next.records, id)
		delete(next.met, id)
	}
	return next
}

// Knows reports whether a process of a member was ever welcomed, as far as is remembered.
func (b *Book) Knows(member uint64) bool {
	_, recorded := b.records[member]
	_, met := b.met[member]
	return recorded || met
}

// Record returns what is remembered of a member.
func (b *Book) Record(member uint64) Record { return b.records[member] }

// SameRecords reports whether two books have the same records.
func (b *Book) SameRecords(other *Book) bool { return maps.Equal(b.records, other.records) }
