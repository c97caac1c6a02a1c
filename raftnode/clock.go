package raftnode

import (
	"math"

	"go.etcd.io/raft/v3/raftpb"
)

// Reading is what the clocks of this machine say at one moment, in nanoseconds.
type Reading struct {
	// Mono goes on by the time that passes and never jumps while the process runs. It may
	// begin anywhere.
	Mono uint64
	// Wall is the time since 1970 UTC, as the operating system has it at this moment. It
	// may jump.
	Wall uint64
}

// Clock is the time of the log as one machine knows it: the time that it puts into
// entries while it leads. That time belongs to the cluster and outlives its leaders: each
// goes on where the one before was, by what has passed on its Mono since. No entry is
// earlier than one before it.
//
// A machine knows the time from the messages of its leader, and from the votes of those
// that knew it when it was elected. One that has heard it from nobody since its start,
// because all have started anew or it is alone, goes by its wall clock, but not to before
// the last entry of its log.
type Clock struct {
	time, mono uint64 // it was time when Mono was mono
	known, own bool
	term       uint64 // of the leader that said so, 0 if none did
	last       uint64 // the latest time in an entry of this machine's log
}

// slip bounds by how much of what has passed the time may fall back to what the leader of
// the same term says, as 1/slip. A late message says less than is true; but no clock
// differs from another one by that much of what passes.
const slip = 1000

// At is the time of the log, in nanoseconds since 1970 UTC.
func (c Clock) At(now Reading) uint64 {
	if !c.known {
		return max(c.since(now), now.Wall)
	}
	return c.since(now)
}

// since is the time that is certain to have come.
func (c Clock) since(now Reading) uint64 {
	return c.time + min(c.passed(now), math.MaxUint64-c.time)
}

func (c Clock) passed(now Reading) uint64 { return max(now.Mono, c.mono) - c.mono }

// Known says whether the time is that of the cluster, and not only what the wall clock says.
func (c Clock) Known() bool { return c.known }

// Own says that this machine leads, or has led last, and nobody had told it the time: it
// went on by its wall clock.
func (c Clock) Own() bool { return c.own }

func (c *Clock) set(time uint64, now Reading) { c.time, c.mono = max(time, c.last), now.Mono }

// reach notes the time in an entry of this machine's log.
func (c *Clock) reach(time uint64, now Reading) {
	c.last = max(c.last, time)
	if time > c.since(now) {
		c.set(time, now)
	}
}

func (c *Clock) reachAll(entries []*raftpb.Entry, now Reading) {
	for _, e := range entries {
		c.reach(timeOf(e), now)
	}
}

// follow notes what the leader of a term says.
func (c *Clock) follow(time, term uint64, now Reading) {
	if c.known && term == c.term {
		time = max(time, c.since(now)-min(c.since(now), c.passed(now)/slip))
	}
	// The leader has no entry that is later, so it will take those away that are: they
	// must not make the time jump when this machine leads.
	c.last = min(c.last, time)
	c.set(time, now)
	c.known, c.own, c.term = true, false, term
}

// hear notes what another member says that does not lead.
func (c *Clock) hear(time uint64, now Reading) {
	if !c.known {
		c.set(time, now)
		c.known = true
	}
}

// lead makes the time of this machine that of the cluster: it has been elected.
func (c *Clock) lead(now Reading) {
	c.own = c.own || !c.known
	c.hear(c.At(now), now)
}

// inheritTime is for a machine that was just elected: the entries that a leader which it
// has followed would have taken away are those of its log now, and no next one is earlier.
// All of them are durable, because its vote for itself went behind them.
func (n *Node) inheritTime(now Reading) {
	entries := n.storage.tail
	n.clock.reachAll(entries[min(uint64(len(entries)), n.committed.handedOut+1-min(n.committed.handedOut+1, n.storage.tailFirst())):], now)
}

// Clock returns the time of the log as it is known now.
func (n *Node) Clock() Clock { return n.clock }

// Reached tells that a snapshot which was installed has an entry of this time.
func (n *Node) Reached(time uint64, now Reading) { n.clock.reach(time, now) }

// hearTime notes the time that came with a message.
func (n *Node) hearTime(m Message, now Reading) {
	switch {
	case m.Time == 0:
	case m.GetFrom() == n.role.leader && m.GetTerm() == n.role.term:
		n.clock.follow(m.Time, m.GetTerm(), now)
	default:
		if n.members.has(m.GetFrom()) || !n.members.known() {
			n.clock.hear(m.Time, now)
		}
	}
}
