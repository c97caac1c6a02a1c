package transport

import (
	"encoding/binary"
	"io"
	"sync/atomic"
	"time"
)

// maxPing bounds the payload of a ping, and of the pong that repeats it, in bytes. Those of machines
// that do not measure round trips have none.
const maxPing = 8

// pings measures round trips over one connection: a ping carries the time, and its pong repeats
// that.
type pings struct {
	base    time.Time
	pending atomic.Uint64 // the time of the last ping, since base; 0: it was answered
}

func (p *pings) send(to io.Writer) error {
	now := uint64(time.Since(p.base)) + 1
	p.pending.Store(now)
	_, err := to.Write(AppendFrame(nil, Frame{Kind: kindPing, Payload: binary.LittleEndian.AppendUint64(nil, now)}))
	return err
}

// answered takes the payload of a pong, and returns how long the round trip took if it answers
// the last ping.
func (p *pings) answered(payload []byte) (took time.Duration, ok bool) {
	if len(payload) != maxPing {
		return 0, false
	}
	sent := binary.LittleEndian.Uint64(payload)
	if sent == 0 || !p.pending.CompareAndSwap(sent, 0) {
		return 0, false
	}
	return time.Since(p.base) + 1 - time.Duration(sent), true
}
