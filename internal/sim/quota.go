package sim

import (
	"etcd/actors"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// The quota changes while clients write: much of the time it is near to what the keys have.

// setsQuota returns whether the next command of a client sets the quota, which every member has to know.
func (c *client) setsQuota(r *request) bool {
	m := r.life.machine
	return m != nil && m.Applied().Version >= store.VersionOfLimits && c.rnd.IntN(4) == 0
}

func (c *client) quota() *storepb.Command {
	size := c.sim.oracle.store.Size()
	if c.rnd.IntN(2) == 0 {
		return actors.SetQuota(10 * size)
	}
	return actors.SetQuota(size + uint64(c.rnd.IntN(500)))
}

// checkQuota checks that an entry has not made the keys larger than the quota before it, and that it was
// refused for that reason only if they could have been.
func (o *oracle) checkQuota(before, quota uint64, c *storepb.Command, result store.Result) {
	size := o.store.Size()
	writes := c.GetSet() != nil || c.GetCreate() != nil
	switch refused := result.Failure != nil && result.Failure.Code == tree.NoSpace; {
	case refused && (!writes || quota == 0 || size != before):
		o.sim.fail("entry %d is refused for the quota of %d bytes, with %d before and %d after it", result.Index, quota, before, size)
	case refused:
		o.sim.count("write over the quota refused")
	case writes && quota > 0 && size > before && size > quota:
		o.sim.fail("entry %d makes it %d bytes, over the quota of %d", result.Index, size, quota)
	}
}
