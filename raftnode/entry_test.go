package raftnode

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestEnvelope(t *testing.T) {
	for _, c := range []struct {
		name    string
		id, now uint64
		command string
		want    string
	}{
		{"empty", 0, 0, "", "\x01" + strings.Repeat("\x00", 16)},
		{"ordinary", 0x0807060504030201, 0x1817161514131211, "set",
			"\x01" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\x11\x12\x13\x14\x15\x16\x17\x18" + "set"},
		{"extreme", math.MaxUint64, math.MaxUint64, "\x00\xff", "\x01" + strings.Repeat("\xff", 16) + "\x00\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := encodeEntry(c.id, c.now, []byte(c.command))
			if string(b) != c.want {
				t.Fatalf("got %q, want %q", b, c.want)
			}
			id, now, command, err := decodeEntry(b)
			if err != nil || id != c.id || now != c.now || string(command) != c.command {
				t.Fatalf("got %d, %d, %q, %v", id, now, command, err)
			}
		})
	}
}

func TestEnvelopeRefuses(t *testing.T) {
	whole := encodeEntry(1, 2, nil)
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "entry of 0 bytes is shorter than its envelope"},
		{"one byte short", whole[:16], "entry of 16 bytes is shorter than its envelope"},
		{"a newer version", append([]byte{2}, whole[1:]...), "envelope version 2 is unknown to this program, which knows 1"},
		{"the newest version", append([]byte{255}, whole[1:]...), "envelope version 255 is unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, _, err := decodeEntry(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeEntry(1, 2, nil))
	f.Add(encodeEntry(math.MaxUint64, 0, []byte("command")))
	f.Add(encodeEntry(1, 2, []byte("x"))[:envelopeSize-1])
	f.Add(append([]byte{2}, make([]byte, 20)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, now, command, err := decodeEntry(b)
		if valid := len(b) >= envelopeSize && b[0] == envelopeVersion; valid != (err == nil) {
			t.Fatalf("%x: error %v, valid %t", b, err, valid)
		}
		if err == nil && !bytes.Equal(encodeEntry(id, now, command), b) {
			t.Fatalf("%x does not come back from %d, %d, %x", b, id, now, command)
		}
	})
}
