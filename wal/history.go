package wal

import "fmt"

// history knows which entries a log holds: those after base up to last, and
// the term of each. Append and replay share its rules, so that replay accepts
// what was appended.
type history struct {
	base, last uint64
	baseTerm   uint64    // of the entry at base; 0 if that is not known
	runs       []termRun // ascending; a run ends where the next begins
}

type termRun struct{ first, term uint64 }

// append adds an entry, after it has truncated the log from its index on.
func (h *history) append(index, term uint64) error {
	if index == 0 || index > h.last+1 {
		return fmt.Errorf("entry %d does not follow entry %d", index, h.last)
	}
	h.truncate(index)
	if n := len(h.runs); n == 0 || h.runs[n-1].term != term {
		h.runs = append(h.runs, termRun{first: index, term: term})
	}
	h.last = index
	return nil
}

// truncate drops the entries at and after index.
func (h *history) truncate(index uint64) {
	n := len(h.runs)
	for n > 0 && h.runs[n-1].first >= index {
		n--
	}
	h.runs = h.runs[:n]
	h.last = min(h.last, index-1)
	if h.last < h.base {
		h.base, h.baseTerm = h.last, 0
	}
}

// lastTerm is the term of the last entry; 0 if that is not known, or there is none.
func (h *history) lastTerm() uint64 {
	if n := len(h.runs); n > 0 {
		return h.runs[n-1].term
	}
	return h.baseTerm
}

// has reports whether the log holds the entry at index with that term.
func (h *history) has(index, term uint64) bool {
	if index <= h.base || index > h.last {
		return false
	}
	for i := len(h.runs) - 1; i >= 0; i-- {
		if h.runs[i].first <= index {
			return h.runs[i].term == term
		}
	}
	return false
}

// leadsTo reports whether the log contains the last entry of a snapshot, or
// begins after it.
func (h *history) leadsTo(id snapshotID) bool {
	return id.index <= h.base || h.has(id.index, id.term)
}

// install notes a snapshot. A log that does not lead to it is on another
// branch or too short: it restarts, empty, right after the snapshot.
func (h *history) install(id snapshotID) (restarted bool) {
	if h.leadsTo(id) {
		return false
	}
	*h = history{base: id.index, last: id.index, baseTerm: id.term}
	return true
}

// Term is the term of the entries from First on, up to where the next Term begins.
type Term struct{ First, Term uint64 }

// terms returns the terms of the entries from first on.
func (h *history) terms(first uint64) (terms []Term) {
	for i, run := range h.runs {
		switch {
		case i+1 < len(h.runs) && h.runs[i+1].first <= first, first > h.last:
		default:
			terms = append(terms, Term{First: max(run.first, first), Term: run.term})
		}
	}
	return terms
}
