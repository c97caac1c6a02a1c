package version

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func drawRange(t *rapid.T, label string) Range {
	low := rapid.Uint32Range(1, 6).Draw(t, label+" min")
	return Range{low, rapid.OneOf(rapid.Uint32Range(low, 7), rapid.Just(uint32(math.MaxUint32))).Draw(t, label+" max")}
}

func TestRangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Understood{drawRange(t, "protocol"), drawRange(t, "commands"), Range{}}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Understood
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Fatalf("%s is read as %+v (%v)", text, got, err)
		}
	})
}

func TestSharedIsTheHighestOfBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRange(t, "a"), drawRange(t, "b")
		want := uint32(0)
		for v := range uint32(10) {
			if a.Has(v) && b.Has(v) {
				want = v
			}
		}
		if a.Max == math.MaxUint32 && b.Max == math.MaxUint32 {
			want = math.MaxUint32
		}
		if got := a.Shared(b); got != want || got != b.Shared(a) {
			t.Fatalf("%s and %s share %d, want %d", a, b, got, want)
		}
	})
}

func TestInvalidRanges(t *testing.T) {
	for _, text := range []string{"", "0", "0-1", "2-1", "1-1", "1-", "-1", "+1", "01", "1-2-3", "x", "1 ", "4294967296", "1-4294967296"} {
		if r, err := Parse(text); err == nil {
			t.Errorf("%q is read as %s", text, r)
		}
	}
	if (Range{}).Has(0) {
		t.Error("the empty range has a version")
	}
}
