package mvcc

import (
	"iter"
	"sort"
)

// chunkSize is how many changes a chunk of the log has.
const chunkSize = 256

// changeLog is the changes since the last compaction, in their order. Views share its chunks, to which changes
// are only ever appended behind what a view has.
type changeLog struct {
	chunks []*chunk
	// start and end are the positions of the first change that is there and of the next one to come. They count
	// all changes, and start is in the first chunk.
	start, end int
	superseded uint64 // bytes that all changes have superseded
}

type chunk struct {
	changes [chunkSize]*Version
	// before is how many bytes were superseded by all changes before those of this chunk, and superseded by
	// each of them: what a compaction behind it frees.
	before     uint64
	superseded [chunkSize]uint32
}

// append adds a change that supersedes a number of bytes.
func (l *changeLog) append(v *Version, superseded uint64) {
	i := l.end % chunkSize
	if i == 0 {
		l.chunks = append(l.chunks, &chunk{before: l.superseded})
	}
	c := l.chunks[len(l.chunks)-1]
	c.changes[i], c.superseded[i] = v, uint32(superseded)
	l.superseded += superseded
	l.end++
}

func (l *changeLog) at(position int) *Version {
	return l.chunks[position/chunkSize-l.start/chunkSize].changes[position%chunkSize]
}

// search returns the position of the first change at a revision or after it.
func (l *changeLog) search(revision int64) int {
	return l.start + sort.Search(l.end-l.start, func(i int) bool { return l.at(l.start+i).Mod >= revision })
}

// supersededBefore returns how many bytes the changes before a position have superseded.
func (l *changeLog) supersededBefore(position int) uint64 {
	if position == l.end {
		return l.superseded
	}
	c := l.chunks[position/chunkSize-l.start/chunkSize]
	n := c.before
	for _, of := range c.superseded[:position%chunkSize] {
		n += uint64(of)
	}
	return n
}

// drop forgets the changes before a position.
func (l *changeLog) drop(position int) {
	whole := position/chunkSize - l.start/chunkSize
	l.start = position
	rest := l.chunks[min(whole, len(l.chunks)):]
	l.chunks = append(make([]*chunk, 0, len(rest)+len(rest)/4+1), rest...) // views share the other one
	if len(rest) > 0 {
		first := *rest[0]
		clear(first.changes[:position%chunkSize])
		l.chunks[0] = &first
	}
}

// from returns the changes from a position on.
func (l *changeLog) from(position int) iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		for ; position < l.end; position++ {
			if !yield(l.at(position)) {
				return
			}
		}
	}
}
