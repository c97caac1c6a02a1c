package version

import (
	"fmt"
	"strconv"
	"strings"
)

// Range is versions from Min to Max, both included, of which the lowest is 1. The zero value
// has none.
type Range struct{ Min, Max uint32 }

// Has reports whether a version is in the range.
func (r Range) Has(version uint32) bool { return r.Min <= version && version <= r.Max && version > 0 }

// Shared returns the highest version that is in both ranges, 0 if there is none.
func (r Range) Shared(other Range) uint32 {
	if highest := min(r.Max, other.Max); r.Has(highest) && other.Has(highest) {
		return highest
	}
	return 0
}

// String is the range for people and in handshakes: "1-2", or "2".
func (r Range) String() string {
	if r.Min == r.Max {
		return strconv.FormatUint(uint64(r.Min), 10)
	}
	return fmt.Sprintf("%d-%d", r.Min, r.Max)
}

// Parse reads what String has returned of a range that is not empty.
func Parse(text string) (Range, error) {
	first, last, found := strings.Cut(text, "-")
	if !found {
		last = first
	}
	var r Range
	for _, end := range []struct {
		text  string
		value *uint32
	}{{first, &r.Min}, {last, &r.Max}} {
		n, err := strconv.ParseUint(end.text, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != end.text {
			return Range{}, fmt.Errorf("versions %.40q: want a number, or two as in 1-2", text)
		}
		*end.value = uint32(n)
	}
	if r.Min == 0 || r.Min > r.Max || found && r.Min == r.Max {
		return Range{}, fmt.Errorf("versions %.40q: want a number, or two as in 1-2", text)
	}
	return r, nil
}

// MarshalText is String, and nothing for the zero value.
func (r Range) MarshalText() ([]byte, error) {
	if r == (Range{}) {
		return nil, nil
	}
	return []byte(r.String()), nil
}

// UnmarshalText is Parse; nothing is the zero value.
func (r *Range) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Range{}
		return nil
	}
	*r, err = Parse(string(text))
	return err
}

// Understood is what a program understands.
type Understood struct {
	// Protocol is what it speaks with other machines.
	Protocol Range `json:"protocol"`
	// Commands are those that it can apply: the version of a cluster has to be among them.
	Commands Range `json:"commands"`
	// Snapshots are the formats that it reads.
	Snapshots Range `json:"snapshots"`
}
