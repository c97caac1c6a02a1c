package httpfront

import (
	"slices"
	"unicode/utf8"
	"unsafe"
)

const (
	// MaxWhole bounds, in bytes, what is rendered as a whole.
	MaxWhole = 64 << 10
	// maxUngapped bounds the strings in it. Larger ones are escaped piece by piece while they are sent, from
	// the memory that the state has them in: a client that does not read would have six times as much
	// otherwise.
	maxUngapped = maxLight
	// escapedAtOnce is how many bytes of a string are escaped for a piece.
	escapedAtOnce = 4 << 10
	// plainAtOnce is how many bytes are written at a time if they need not be escaped.
	plainAtOnce = 64 << 10
)

// Gaps are where large strings belong in a text that is rendered without them. A nil *Gaps leaves
// none.
type Gaps []gap

type gap struct {
	at    int // in the text
	value string
	bare  bool // it is neither quoted nor escaped
}

// AppendString is [AppendString], but for a large string, for which it leaves a gap.
func (g *Gaps) AppendString(to []byte, text string) []byte {
	if g == nil || len(text) <= maxUngapped {
		return AppendString(to, text)
	}
	*g = append(*g, gap{at: len(to), value: text})
	return to
}

// size returns how many bytes what belongs in the gaps takes.
func (g Gaps) size() (n int) {
	for _, gap := range g {
		if gap.bare {
			n += len(gap.value)
		} else {
			n += escapedLen(gap.value) + len(`""`)
		}
	}
	return n
}

// text is what is left to be written of a text and of what belongs in its gaps.
type text struct {
	data []byte
	gaps Gaps
	at   int    // in data
	open bool   // the first gap has been begun
	rest string // of what belongs there
}

func (t *text) isOver() bool { return t.at == len(t.data) && len(t.gaps) == 0 }

// next returns the next part, most bytes at most unless it is escaped. It may be in room, which grows and must
// not change before the part was written.
func (t *text) next(room *[]byte, most int) []byte {
	end := len(t.data)
	if len(t.gaps) > 0 {
		end = t.gaps[0].at
	}
	if t.at < end {
		part := t.data[t.at:min(end, t.at+most)]
		t.at += len(part)
		return part
	}
	return t.fill(room, most)
}

// fill returns the next part of what belongs in the first gap.
func (t *text) fill(room *[]byte, most int) []byte {
	g := t.gaps[0]
	to := (*room)[:0]
	if !t.open {
		t.open, t.rest = true, g.value
		if !g.bare {
			to = append(to, '"')
		}
	}
	if g.bare {
		part := t.take(min(len(t.rest), most))
		if t.rest == "" {
			t.closeGap()
		}
		return part
	}
	if n := min(len(t.rest)-1, plainAtOnce, most); n > 0 && len(to) == 0 && isPlain(t.rest[:n]) { // one is left for the end
		return t.take(n)
	}
	to = slices.Grow(to, pieceBytes+6*escapedAtOnce)
	for t.rest != "" && len(to) < pieceBytes {
		n := wholeRunes(t.rest, escapedAtOnce)
		to, t.rest = appendEscaped(to, t.rest[:n]), t.rest[n:]
	}
	if t.rest == "" {
		to = append(to, '"')
		t.closeGap()
	}
	*room = to
	return to
}

// take returns the next bytes of the string as they are. They must not be changed.
func (t *text) take(n int) []byte {
	part := t.rest[:n]
	t.rest = t.rest[n:]
	return unsafe.Slice(unsafe.StringData(part), n)
}

func (t *text) closeGap() { t.gaps, t.open, t.rest = t.gaps[1:], false, "" }

// wholeRunes returns how many bytes of a string to take, most at most, without splitting a character.
func wholeRunes(s string, most int) int {
	if len(s) <= most {
		return len(s)
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return n
		}
	}
	return most // it is no UTF-8
}
