package sim

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"time"
)

// trace is everything that happened, as a hash and, if somebody wants it, as text.
type trace struct {
	sum hash.Hash64
	out io.Writer // nil: nobody wants it
	buf []byte
}

func newTrace(out io.Writer) trace { return trace{sum: fnv.New64a(), out: out} }

// step notes that something happens to someone. Each of the words is free of spaces.
func (t *trace) step(now time.Duration, who, what string) {
	t.buf = binary.LittleEndian.AppendUint64(t.buf[:0], uint64(now))
	t.buf = append(append(append(t.buf, who...), ' '), what...)
	t.sum.Write(t.buf)
	t.say(now, who, what)
}

// say adds a line that is for people only: real durations may be in it.
func (t *trace) say(now time.Duration, who, what string) {
	if t.out != nil {
		fmt.Fprintf(t.out, "%12.6f %s %s\n", now.Seconds(), who, what)
	}
}
