package sim

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"time"
)

// trace is every step of a run, as a hash and, if asked for, as text.
type trace struct {
	sum hash.Hash64
	out io.Writer // nil: no text
	buf []byte
}

func newTrace(out io.Writer) trace { return trace{sum: fnv.New64a(), out: out} }

// step records a step. who has no spaces.
func (t *trace) step(now time.Duration, who, what string) {
	t.buf = binary.LittleEndian.AppendUint64(t.buf[:0], uint64(now))
	t.buf = append(append(append(t.buf, who...), ' '), what...)
	t.sum.Write(t.buf)
	t.say(now, who, what)
}

// say adds a line to the text only, not to the hash: it may contain real durations.
func (t *trace) say(now time.Duration, who, what string) {
	if t.out != nil {
		fmt.Fprintf(t.out, "%12.6f %s %s\n", now.Seconds(), who, what)
	}
}
