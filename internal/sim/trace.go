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
	if t.out != nil {
		fmt.Fprintf(t.out, "%12.6f %s %s\n", now.Seconds(), who, what)
	}
}

// note is step with a text that costs something to make.
func (t *trace) note(now time.Duration, who, format string, args ...any) {
	t.step(now, who, fmt.Sprintf(format, args...))
}
