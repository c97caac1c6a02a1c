package raftnode

import (
	"math"

	"go.etcd.io/raft/v3/raftpb"
)

// Reading is what the clocks of this machine read at one moment, in nanoseconds.
type Reading struct {
	// Mono is monotonic and never jumps while the process runs. It may begin anywhere.
	Mono uint64
	// Wall is the time since 1970 UTC according to the operating system. It may jump.
	Wall uint64
}

// Clock is the time of the log as one machine knows it: the time that it stamps entries with
// while it leads. That time belongs to the cluster and outlives its leaders: each continues
// where the one before was, by what has passed on its own Mono since. No entry is earlier
// than one before it.
//
// A machine learns the time from the messages of its leader and, when it is elected, from the
// votes of those that know it. One that has learned it from nobody since its start, because
// all have restarted or it is alone, goes by its wall clock, but not back before the last
// entry of its log.
type Clock struct {
	time, mono uint64 // it was time when Mono read mono
	known, own bool
	term       uint64 // of the leader that said so, 0 if none did
	last       uint64 // the latest time in an entry of this machine's log
}

// slip bounds how far the time may fall back to what the leader of the same term says: by
// 1/slip of what has passed. A delayed message carries a time that is too early; but no two
// clocks drift apart by that much.
const slip = 1000

// At is the time of the log, in nanoseconds since 1970 UTC.
func (c Clock) At(now Reading) uint64 {
	if !c.known {
		return max(c.since(now), now.Wall)
	}
	return c.since(now)
}

// since returns the latest time that has certainly come.
func (c Clock) since(now Reading) uint64 {
	return c.time + min(c.passed(now), math.MaxUint64-c.time)
}

func (c Clock) passed(now Reading) uint64 { return max(now.Mono, c.mono) - c.mono }

// Known reports whether the time is the cluster's, and not just what the wall clock reads.
func (c Clock) Known() bool { return c.known }

// Own reports whether this machine leads, or has led and followed nobody since, and had to
// begin by its wall clock, because nobody had told it the time.
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

// follow notes the time according to the leader of a term.
func (c *Clock) follow(time, term uint64, now Reading) {
	if c.known && term == c.term {
		time = max(time, c.since(now)-min(c.since(now), c.passed(now)/slip))
	}
	// The leader has no entry that is later, so it will truncate those that are: they must
	// not make the time jump when this machine leads.
	c.last = min(c.last, time)
	c.set(time, now)
	c.known, c.own, c.term = true, false, term
}

// hear notes the time according to a member that does not lead.
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

// inheritTime is for a machine that was just elected: entries that a leader it has followed
// would have truncated stay in its log now, and the next one must not be earlier. All of them
// are durable, because its vote for itself was written behind them.
func (n *Node) inheritTime(now Reading) {
	entries := n.storage.tail
	n.clock.reachAll(entries[min(uint64(len(entries)), n.committed.handedOut+1-min(n.committed.handedOut+1, n.storage.tailFirst())):], now)
}

// Clock returns the time of the log as it is known now.
func (n *Node) Clock() Clock { return n.clock }

// Reached notes that a snapshot which was installed has an entry of this time.
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
