package httpfront

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However a string is cut into parts, they are those of the string at once, and as many as was said.
func TestGapsAreFilled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.StringMatching(`[a-z<"\n\x00]{0,9}`).Draw(t, "plain") +
			rapid.SampledFrom([]string{"", "\xff", "\xe2\x82", "€", "\U0001f600", "\u2028", "\xf0\x9f\x98"}).Draw(t, "rune")
		value := strings.Repeat(unit, (MaxWhole+rapid.IntRange(1, 3*pieceBytes).Draw(t, "size"))/max(1, len(unit))+1)
		if unit == "" {
			value = strings.Repeat("x", 5*MaxWhole)
		}
		var gaps Gaps
		data := gaps.AppendString([]byte(`{"a":`), value)
		data = gaps.AppendString(append(data, `,"b":`...), "small")
		data = gaps.AppendString(append(data, `,"c":`...), value[1:])
		data = append(data, '}')
		want := string(AppendString(append(AppendString([]byte(`{"a":`), value), `,"b":"small","c":`...), value[1:])) + "}"
		if n := len(data) + gaps.size(); n != len(want) {
			t.Errorf("the size is %d, want %d", n, len(want))
		}
		most := rapid.IntRange(1000, 100_000).Draw(t, "most")
		var got strings.Builder
		var room []byte
		for text := (text{data: data, gaps: gaps}); !text.isOver(); {
			part := text.next(&room, most)
			got.Write(part)
		}
		if got.String() != want {
			t.Fatal("it is not the text at once")
		}
		if cap(room) > pieceBytes+8*escapedAtOnce {
			t.Errorf("%d bytes of memory for a part", cap(room))
		}
		if !json.Valid([]byte(want)) {
			t.Error("it is no JSON")
		}
	})
}

// A body is the same read in whatever way.
func TestBodiesReadTheSame(t *testing.T) {
	value := strings.Repeat(`<a"`, MaxWhole)
	render := func() Render {
		n := 0
		return func(to []byte, gaps *Gaps) ([]byte, bool) {
			n++
			return gaps.AppendString(append(to, '\n'), value[:n*MaxWhole]), n < 3
		}
	}
	var want []byte
	next := render()
	for more := true; more; {
		want, more = next(want, nil)
	}
	b := &body{begin: render, next: render()}
	if n, err := b.size(); err != nil || n != len(want) {
		t.Errorf("the size is %d, %v; want %d", n, err, len(want))
	}
	if got, err := io.ReadAll(struct{ io.Reader }{b}); err != nil || string(got) != string(want) {
		t.Errorf("%d bytes were read, %v", len(got), err)
	}
	var written strings.Builder
	if n, err := (&body{next: render()}).WriteTo(&written); err != nil || n != int64(len(want)) || written.String() != string(want) {
		t.Errorf("%d bytes were written, %v", n, err)
	}
}

// What several answers share counts once, and what is refused not at all.
func TestAnswerMemory(t *testing.T) {
	m := &answerMemory{limit: func() int64 { return 100 }}
	a, b := strings.Repeat("a", 60), strings.Repeat("b", 41)
	for range 3 {
		if !m.hold([]string{a, a}) {
			t.Fatal("no room for what is there already")
		}
	}
	if m.hold([]string{a, b}) || m.bytes() != 60 || m.refused.Load() != 1 {
		t.Errorf("with 101 of 100 bytes %d count", m.bytes())
	}
	if !m.hold([]string{b[:40]}) || m.bytes() != 100 {
		t.Errorf("with 100 of 100 bytes %d count", m.bytes())
	}
	m.release([]string{b[:40]})
	for i := range 3 {
		if m.bytes() != 60 {
			t.Errorf("after %d releases %d bytes count", i, m.bytes())
		}
		m.release([]string{a, a})
	}
	if m.bytes() != 0 || len(m.held) != 0 {
		t.Errorf("%d bytes count at the end", m.bytes())
	}
}
