package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store/mvcc"
)

// The store actor frees what was compacted in slices, none of which takes a millisecond, and pauses after each:
// a million versions take twenty seconds then, and whoever writes meanwhile hardly notices.
const (
	freeSlice = 50 // changes
	freePause = time.Millisecond / 2
)

// compaction frees the memory of what was compacted, between other messages.
type compaction struct {
	afterFunc func(time.Duration, func()) Timer
	slice     int // changes that are freed at a time

	timer   Timer         // nil until the first slice
	freeing bool          // a freeDue is on its way
	waiting []freedWaiter // in the order of until
}

// freedWaiter waits until so many changes are free.
type freedWaiter struct {
	message *AwaitFreed
	until   int
}

// begin frees what there is to free, soon, and answers whoever waits for no more than that.
func (c *compaction) begin(ctx actor.Context, keys *mvcc.Keyspace) {
	for len(c.waiting) > 0 && (c.waiting[0].until <= keys.FreedUpTo() || keys.Freed()) {
		m := c.waiting[0].message
		ctx.Send(m.ReplyTo, &Synced{ID: m.ID})
		c.waiting = c.waiting[1:]
	}
	if c.freeing || keys.Freed() {
		return
	}
	c.freeing = true
	if c.timer == nil {
		root, self := ctx.ActorSystem().Root, ctx.Self()
		c.timer = c.afterFunc(freePause, func() { root.Send(self, freeDue{}) })
		return
	}
	c.timer.Reset(freePause)
}

// free frees a slice, and returns how many bytes that was.
func (c *compaction) free(ctx actor.Context, keys *mvcc.Keyspace) int64 {
	bytes := keys.Free(c.slice)
	c.freeing = false
	c.begin(ctx, keys)
	return int64(bytes)
}

func (c *compaction) await(ctx actor.Context, m *AwaitFreed, keys *mvcc.Keyspace) {
	if keys.Freed() {
		ctx.Send(m.ReplyTo, &Synced{ID: m.ID})
		return
	}
	c.waiting = append(c.waiting, freedWaiter{m, keys.Freeable()})
}

func (c *compaction) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
