package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// currentIndex stands, in expectations, for the index of the last command.
const currentIndex = "current"

// indexMap pairs the indexes of a recording with ours. Ours rise as the recorded ones do, but by as
// much as they like.
type indexMap struct {
	pairs   [][2]uint64       // recorded and ours, ascending
	named   map[string]uint64 // ours of what the recorded server did not do, by the name in the expectation
	highest uint64            // of ours
}

// learn pairs two indexes, which replaces what was known of the recorded one.
func (m *indexMap) learn(recorded, ours uint64) {
	at, known := m.find(recorded)
	if known {
		m.pairs[at][1] = ours
	} else {
		m.pairs = slices.Insert(m.pairs, at, [2]uint64{recorded, ours})
	}
	m.highest = max(m.highest, ours)
}

// find returns where a recorded index is, or belongs.
func (m *indexMap) find(recorded uint64) (int, bool) {
	return slices.BinarySearchFunc(m.pairs, recorded, func(pair [2]uint64, recorded uint64) int {
		return int(int64(pair[0] - recorded))
	})
}

// translate returns our index for a recorded one. One that is not known is as far from the next lower
// one as in the recording.
func (m *indexMap) translate(recorded uint64) uint64 {
	at, known := m.find(recorded)
	if !known {
		at--
	}
	if at < 0 {
		return recorded
	}
	return m.pairs[at][1] + (recorded - m.pairs[at][0])
}

// same compares two index fields. One that is seen for the first time has to be where it belongs among
// those that are known, and one that is higher than all recorded ones higher than all of ours.
func (m *indexMap) same(want, got any) string {
	ours, err := strconv.ParseUint(fmt.Sprint(got), 10, 64)
	if err != nil {
		return fmt.Sprintf("is %v, not an index", got)
	}
	if want == currentIndex {
		if ours != m.highest {
			return fmt.Sprintf("is %d, and the last command has %d", ours, m.highest)
		}
		return ""
	}
	recorded, err := strconv.ParseUint(fmt.Sprint(want), 10, 64)
	if err != nil {
		return m.sameNamed(fmt.Sprint(want), ours)
	}
	at, known := m.find(recorded)
	if known {
		if m.pairs[at][1] != ours {
			return fmt.Sprintf("is %d, and was %d for what was recorded as %d", ours, m.pairs[at][1], recorded)
		}
		return ""
	}
	from, to := uint64(0), uint64(0)
	if at > 0 {
		from = m.pairs[at-1][1]
	}
	if at < len(m.pairs) {
		to = m.pairs[at][1]
	} else {
		from = m.highest
	}
	if ours <= from || to != 0 && ours >= to {
		return fmt.Sprintf("is %d for %d, out of order: %v, and at most %d so far", ours, recorded, m.pairs, m.highest)
	}
	m.learn(recorded, ours)
	return ""
}

func (m *indexMap) sameNamed(name string, ours uint64) string {
	if known, ok := m.named[name]; ok {
		if known != ours {
			return fmt.Sprintf("is %d, and %q was %d", ours, name, known)
		}
		return ""
	}
	if ours <= m.highest {
		return fmt.Sprintf("is %d for %q, and is not new: %d", ours, name, m.highest)
	}
	if m.named == nil {
		m.named = map[string]uint64{}
	}
	m.named[name], m.highest = ours, ours
	return ""
}

// sameKey compares two keys. A name of an in-order key is an index.
func (m *indexMap) sameKey(want, got any) string {
	w, ok := want.(string)
	if !ok {
		return fmt.Sprintf("is %v, want %v", got, want)
	}
	g, _ := got.(string)
	wanted, parts := strings.Split(w, "/"), strings.Split(g, "/")
	if len(wanted) != len(parts) {
		return fmt.Sprintf("is %q, want %q", g, w)
	}
	for i, name := range wanted {
		if !isInOrder(name) {
			if name != parts[i] {
				return fmt.Sprintf("is %q, want %q", g, w)
			}
			continue
		}
		if !isInOrder(parts[i]) {
			return fmt.Sprintf("is %q, want %q or another index", g, w)
		}
		if diff := m.same(strings.TrimLeft(name, "0"), strings.TrimLeft(parts[i], "0")); diff != "" {
			return fmt.Sprintf("%q: %s", g, diff)
		}
	}
	return ""
}

// isInOrder reports whether a name is that of an in-order key.
func isInOrder(name string) bool {
	return len(name) == 20 && strings.Trim(name, "0123456789") == ""
}

// The map finds indexes that are not those of the recording.
func TestIndexMap(t *testing.T) {
	var m indexMap
	m.learn(3, 1)
	for _, c := range []struct {
		want, got any
		same      bool
	}{
		{json.Number("4"), json.Number("3"), true},
		{json.Number("4"), json.Number("3"), true},
		{json.Number("4"), json.Number("4"), false},
		{json.Number("5"), json.Number("3"), false},
		{json.Number("5"), json.Number("2"), false},
		{json.Number("5"), "x", false},
		{"new", json.Number("3"), false},
		{"new", json.Number("7"), true},
		{"new", json.Number("8"), false},
		{json.Number("5"), json.Number("6"), false},
		{json.Number("9"), json.Number("10"), true},
		{json.Number("7"), json.Number("11"), false},
		{json.Number("7"), json.Number("8"), true},
		{currentIndex, json.Number("8"), false},
		{currentIndex, json.Number("10"), true},
	} {
		if diff := m.same(c.want, c.got); (diff == "") != c.same {
			t.Errorf("%v and %v: %q", c.want, c.got, diff)
		}
	}
	for recorded, ours := range map[uint64]uint64{1: 1, 3: 1, 4: 3, 6: 5, 7: 8, 12: 13} {
		if got := m.translate(recorded); got != ours {
			t.Errorf("%d is %d, want %d", recorded, got, ours)
		}
	}
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"/q/00000000000000000009", "/q/00000000000000000010", true},
		{"/q/00000000000000000009", "/q/00000000000000000011", false},
		{"/q/00000000000000000009", "/q/10", false},
		{"/q/00000000000000000009", "/q", false},
		{"/a/b", "/a/b", true},
		{"/a/b", "/a/c", false},
	} {
		if diff := m.sameKey(c.want, c.got); (diff == "") != c.same {
			t.Errorf("%v and %v: %q", c.want, c.got, diff)
		}
	}
}
