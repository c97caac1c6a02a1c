package raftnode

import (
	"encoding/binary"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// maxHeldReads bounds the reads of other members that a new leader keeps.
const maxHeldReads = 1000

// read is a request that waits until it may be answered.
type read struct {
	token    any
	deadline int
}

// batch is a group of reads that share one ReadIndex.
type batch struct {
	reads   []read
	context uint64 // identifies the ReadIndex, 0 while none is in flight
	sent    int    // tick at which it was asked
	index   uint64 // entries up to here must be handed out first, once confirmed
}

// reads batches: while one ReadIndex is in flight, all later reads wait for the
// next one. A read may never join one that is in flight already, because a write
// may have been acknowledged in between.
type reads struct {
	next        []read // not asked yet
	current     *batch // asked, not confirmed
	confirmed   []*batch
	count       int // of the reads in all of them
	lastContext uint64

	sentContexts sentContexts      // that this leader has sent
	held         []*raftpb.Message // of other members, until this leader may answer them
}

// add queues a read; it returns false if there are maxWaiting already.
func (rs *reads) add(r read) bool {
	if rs.count >= maxWaiting {
		return false
	}
	rs.count++
	rs.next = append(rs.next, r)
	return true
}

// start returns the context for a new ReadIndex, or nil if none is needed now. A
// ReadIndex that got no answer for retryTicks is retried with a fresh context, because
// the message may be lost or the leader may have changed.
func (rs *reads) start(tick, retryTicks int) []byte {
	switch {
	case rs.current == nil && len(rs.next) > 0:
		rs.current = &batch{reads: rs.next}
		rs.next = nil
	case rs.current != nil && tick-rs.current.sent >= retryTicks:
	default:
		return nil
	}
	rs.lastContext++
	rs.current.context = rs.lastContext
	rs.current.sent = tick
	return binary.LittleEndian.AppendUint64(nil, rs.current.context)
}

// retryNow retries the ReadIndex in flight at once: there is another leader.
func (rs *reads) retryNow() {
	if rs.current != nil {
		rs.current.sent = math.MinInt / 2
	}
}

// retrySoon retries it at the next tick: it may have been lost.
func (rs *reads) retrySoon(tick, retryTicks int) {
	if rs.current != nil {
		rs.current.sent = min(rs.current.sent, tick-retryTicks+1)
	}
}

// confirm notes the answer to a ReadIndex. Answers to earlier contexts are stale
// only in the sense that they were asked for again; they are ignored.
func (rs *reads) confirm(context []byte, index uint64) {
	if rs.current == nil || len(context) != 8 || binary.LittleEndian.Uint64(context) != rs.current.context {
		return
	}
	rs.current.index = index
	rs.confirmed = append(rs.confirmed, rs.current)
	rs.current = nil
}

// release returns the tokens of confirmed reads whose entries have all been handed out.
func (rs *reads) release(handedOut uint64, tokens []any) []any {
	for len(rs.confirmed) > 0 && rs.confirmed[0].index <= handedOut {
		for _, r := range rs.confirmed[0].reads {
			tokens = append(tokens, r.token)
		}
		rs.count -= len(rs.confirmed[0].reads)
		rs.confirmed = rs.confirmed[1:]
	}
	return tokens
}

// expired removes and returns the reads whose deadline has passed.
func (rs *reads) expired(tick int) []read {
	var gone []read
	cut := func(list []read) []read {
		i := 0
		for i < len(list) && list[i].deadline <= tick {
			i++
		}
		gone = append(gone, list[:i]...)
		return list[i:]
	}
	for _, b := range rs.confirmed {
		b.reads = cut(b.reads)
	}
	if rs.current != nil {
		rs.current.reads = cut(rs.current.reads)
		if len(rs.current.reads) == 0 {
			rs.current = nil
		}
	}
	rs.next = cut(rs.next)
	rs.count -= len(gone)
	return gone
}

// Read asks for a moment at which the state contains every write that was
// acknowledged before this call. token is released in Work.Reads: state that has
// the entries handed out up to then may answer it.
func (n *Node) Read(token any) {
	if !n.reads.add(read{token: token, deadline: n.ticks + n.cfg.RequestTicks}) {
		n.fail(token, ErrOverloaded)
	}
}

// startReadIndex starts a ReadIndex for the reads that wait. A leader first waits
// until an entry of its own term is committed and handed out: before that its
// commit index may be older than writes that were acknowledged in an earlier term.
func (n *Node) startReadIndex() {
	if n.role.leader == raft.None || n.role.leads && n.committed.term != n.role.term {
		return
	}
	held := n.reads.held
	n.reads.held = nil
	for _, m := range held {
		n.stepReadIndex(m)
	}
	if context := n.reads.start(n.ticks, n.cfg.ElectionTicks); context != nil {
		n.raw.ReadIndex(context)
	}
}

// soleVoterBeforeCommit reports whether this machine is the only voter and does not know yet, since
// its start, how far the log is committed: go.etcd.io/raft answers a ReadIndex of a
// learner all the same.
func (n *Node) soleVoterBeforeCommit() bool {
	return len(n.members.voters()) == 1 && n.committed.term != n.role.term
}

// stepReadIndex takes the ReadIndex of another member that takes this one for the
// leader. If it is not, there is no answer: Raft would forward the ReadIndex in the name
// of its sender, which no member believes, and the sender retries when it learns who
// leads.
func (n *Node) stepReadIndex(m *raftpb.Message) {
	switch {
	case n.soleVoterBeforeCommit():
		if len(n.reads.held) < maxHeldReads {
			n.reads.held = append(n.reads.held, m) // see startReadIndex
		}
	case n.raw.BasicStatus().RaftState == raft.StateLeader:
		n.stepOther(m)
	}
}
