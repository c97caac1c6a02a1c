package transport

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func reader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// TestFrameLayout pins the format, on which machines of different versions must agree.
func TestFrameLayout(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame Frame
		want  string
	}{
		{"raft", Frame{KindRaft, []byte("123456789")}, "\x09\x00\x00\x00\x01\x00\x00\x00\xe9\xb2\xc6\x19123456789"},
		{"empty", Frame{Kind: kindPing}, "\x00\x00\x00\x00\x10\x00\x00\x00\xb7\x03\x4c\x65"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := AppendFrame([]byte("before"), c.frame); string(got) != "before"+c.want {
				t.Errorf("got %q, want %q", got[6:], c.want)
			}
		})
	}
}

func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		frames := rapid.SliceOf(rapid.Custom(func(rt *rapid.T) Frame {
			// Sizes around the steps in which memory grows.
			size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(frameStep-1, 3*frameStep)).Draw(rt, "size")
			return Frame{Kind(rapid.Byte().Draw(rt, "kind")), bytes.Repeat([]byte{rapid.Byte().Draw(rt, "fill")}, size)}
		})).Draw(rt, "frames")
		var wire []byte
		for _, f := range frames {
			wire = AppendFrame(wire, f)
		}
		in := bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(wire)), 16)
		for i, f := range frames {
			got, err := ReadFrame(in, 3*frameStep)
			if err != nil || got.Kind != f.Kind || !bytes.Equal(got.Payload, f.Payload) {
				rt.Fatalf("frame %d: kind %d, %d bytes, error %v", i, got.Kind, len(got.Payload), err)
			}
		}
		if _, err := ReadFrame(in, 0); err != io.EOF {
			rt.Fatalf("after the last frame: %v", err)
		}
	})
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	wire := AppendFrame(nil, Frame{KindRaft, []byte("a payload")})
	for bit := range 8 * len(wire) {
		damaged := bytes.Clone(wire)
		damaged[bit/8] ^= 1 << (bit % 8)
		_, err := ReadFrame(reader(damaged), 1000)
		// A flip in the length may also make the frame too large, or longer than the data.
		if !errors.Is(err, ErrDamaged) && (bit >= 32 || !errors.Is(err, ErrTooLarge) && err != io.ErrUnexpectedEOF) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}

func TestEveryTruncationIsFound(t *testing.T) {
	wire := AppendFrame(nil, Frame{KindRaft, []byte("a payload")})
	for n := 1; n < len(wire); n++ {
		if _, err := ReadFrame(reader(wire[:n]), 1000); err != io.ErrUnexpectedEOF {
			t.Errorf("%d of %d bytes: %v", n, len(wire), err)
		}
	}
}

func TestFrameLimit(t *testing.T) {
	wire := AppendFrame(nil, Frame{KindRaft, make([]byte, 100)})
	if _, err := ReadFrame(reader(wire), 100); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := ReadFrame(reader(wire), 99); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

// TestAnnouncedLengthCostsNothing sends many frames with a large length and little payload.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	wire := AppendFrame(nil, Frame{KindRaft, make([]byte, MaxFrame)})[:1000]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const rounds = 16
	for range rounds {
		if _, err := ReadFrame(reader(wire), MaxFrame); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > 4*frameStep {
		t.Errorf("%d bytes were allocated for a frame of which 1000 arrived", each)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(AppendFrame(nil, Frame{KindRaft, []byte("payload")}))
	f.Add(AppendFrame(AppendFrame(nil, Frame{Kind: kindPing}), Frame{KindForward, make([]byte, 300)}))
	f.Add([]byte{255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 10
		in := reader(data)
		at := 0
		for {
			frame, err := ReadFrame(in, limit)
			if err != nil {
				return
			}
			if len(frame.Payload) > limit {
				t.Fatalf("a payload of %d bytes", len(frame.Payload))
			}
			wire := AppendFrame(nil, frame)
			if !bytes.HasPrefix(data[at:], wire) {
				t.Fatalf("the frame at %d is written as %x", at, wire)
			}
			at += len(wire)
		}
	})
}
