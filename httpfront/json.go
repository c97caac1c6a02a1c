package httpfront

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// AppendString appends a string in JSON, as the servers of v1 and v2 did: with <, > and & escaped,
// U+FFFD for what is not valid UTF-8, and no short escapes but those of newlines and tabs.
func AppendString(to []byte, text string) []byte {
	return append(appendEscaped(append(to, '"'), text), '"')
}

// appendEscaped is AppendString without the quotes.
func appendEscaped(to []byte, text string) []byte {
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				to = append(append(to, text[from:i]...), `\ufffd`...)
				from = i + size
			case r == '\u2028', r == '\u2029': // JavaScript ends a line there
				to = append(append(to, text[from:i]...), `\u202`...)
				to = append(to, hexDigits[r&0xf])
				from = i + size
			}
			i += size
			continue
		}
		if !needsEscape[c] {
			i++
			continue
		}
		to = append(to, text[from:i]...)
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, `\n`...)
		case '\r':
			to = append(to, `\r`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		from = i
	}
	return append(to, text[from:]...)
}

// escapedLen returns how many bytes appendEscaped appends.
func escapedLen(text string) int {
	n := len(text)
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			n += int(escapeCost[c])
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			n += len(`\ufffd`) - size
		}
		i += size
	}
	return n
}

// isPlain reports whether a string is the same when it is escaped.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c >= utf8.RuneSelf || needsEscape[c] {
			return false
		}
	}
	return true
}

// needsEscape has the bytes of ASCII that are escaped in a string.
var needsEscape = func() (escaped [utf8.RuneSelf]bool) {
	for c := range byte(' ') {
		escaped[c] = true
	}
	for _, c := range `"\<>&` {
		escaped[c] = true
	}
	return escaped
}()

// escapeCost has how many bytes longer the bytes of ASCII are when they are escaped.
var escapeCost = func() (cost [utf8.RuneSelf]uint8) {
	for c := range cost {
		cost[c] = uint8(len(appendEscaped(nil, string(rune(c)))) - 1)
	}
	return cost
}()
