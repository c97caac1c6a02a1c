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

	timer   Timer // nil until the first slice
	freeing bool  // a freeDue is on its way
	waiting []*AwaitFreed
}

// begin frees what there is to free, soon.
func (c *compaction) begin(ctx actor.Context, keys *mvcc.Keyspace) {
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

// free frees what a number of changes has superseded, and returns how many bytes that was.
func (c *compaction) free(ctx actor.Context, keys *mvcc.Keyspace, changes int) int64 {
	bytes := keys.Free(changes)
	c.freeing = false
	if c.begin(ctx, keys); !c.freeing {
		for _, m := range c.waiting {
			ctx.Send(m.ReplyTo, &Synced{ID: m.ID})
		}
		c.waiting = nil
	}
	return int64(bytes)
}

func (c *compaction) await(ctx actor.Context, m *AwaitFreed, keys *mvcc.Keyspace) {
	if keys.Freed() {
		ctx.Send(m.ReplyTo, &Synced{ID: m.ID})
		return
	}
	c.waiting = append(c.waiting, m)
}

func (c *compaction) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
