package raftnode

import (
	"math"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// FollowerStats are about the appends of a leader to one member, since the leader was elected.
type FollowerStats struct {
	Member uint64
	// Success counts the appends with entries that were acked: they are on the member's disk.
	Success uint64
	// Fail counts those that were not: refused, lost with their connection, or in flight for
	// too long. A failed attempt to reach the member counts as well.
	Fail uint64
	// Current is the latency of the append acked last, from sending it to its ack. The others
	// are of all appends acked.
	Current, Average, StandardDeviation, Minimum, Maximum time.Duration
}

// Followers measures the appends of a leader. It is told of every message and the time, in
// nanoseconds, of any clock that does not run backwards. The zero value is ready for use.
type Followers struct {
	members map[uint64]*follower
	term    uint64
}

type follower struct {
	stats   FollowerStats
	mean    float64      // nanoseconds
	squares float64      // sum of the squared differences from the mean
	sent    []sentAppend // in flight, oldest first
}

type sentAppend struct {
	last uint64 // index of its last entry
	at   uint64
}

// Reset forgets everything: another machine leads, or this one was elected again.
func (f *Followers) Reset() { f.members, f.term = nil, 0 }

// Sent takes a message to another member. Only appends with entries count: an ack of others
// says nothing about the member's disk.
func (f *Followers) Sent(m *raftpb.Message, now uint64) {
	entries := m.GetEntries()
	if m.GetType() != raftpb.MsgApp || len(entries) == 0 {
		return
	}
	f.term = m.GetTerm()
	to := f.of(m.GetTo())
	if len(to.sent) == maxInflightMessages {
		to.fail(1)
	}
	to.sent = append(to.sent, sentAppend{last: entries[len(entries)-1].GetIndex(), at: now})
}

// Answered takes a message from another member. An ack covers all appends up to its index.
func (f *Followers) Answered(m *raftpb.Message, now uint64) {
	if m.GetType() != raftpb.MsgAppResp || m.GetTerm() != f.term || f.members[m.GetFrom()] == nil {
		return
	}
	from := f.of(m.GetFrom())
	if m.GetReject() {
		from.fail(len(from.sent)) // it lacks the entries before them
		return
	}
	done := 0
	for done < len(from.sent) && from.sent[done].last <= m.GetIndex() {
		from.acked(max(now, from.sent[done].at) - from.sent[done].at)
		done++
	}
	from.sent = slices.Delete(from.sent, 0, done)
}

// Unreachable notes that messages to a member may have been lost.
func (f *Followers) Unreachable(member uint64) {
	to := f.of(member)
	lost := len(to.sent)
	to.fail(lost)
	if lost == 0 {
		to.stats.Fail++
	}
}

// Expire gives up the appends in flight that were sent before a time.
func (f *Followers) Expire(before uint64) {
	for _, to := range f.members {
		late := 0
		for late < len(to.sent) && to.sent[late].at < before {
			late++
		}
		to.fail(late)
	}
}

// Stats returns what was measured of these members, in their order, all zero if there was
// nothing to measure. Others are forgotten.
func (f *Followers) Stats(members []uint64) []FollowerStats {
	stats := make([]FollowerStats, len(members))
	for i, id := range members {
		stats[i] = f.of(id).stats
	}
	for id := range f.members {
		if !slices.Contains(members, id) {
			delete(f.members, id)
		}
	}
	return stats
}

func (f *Followers) of(member uint64) *follower {
	if f.members == nil {
		f.members = make(map[uint64]*follower)
	}
	if f.members[member] == nil {
		f.members[member] = &follower{stats: FollowerStats{Member: member}}
	}
	return f.members[member]
}

// fail gives up the n oldest appends in flight.
func (f *follower) fail(n int) {
	f.stats.Fail += uint64(n)
	f.sent = slices.Delete(f.sent, 0, n)
}

func (f *follower) acked(nanoseconds uint64) {
	s, d := &f.stats, time.Duration(nanoseconds)
	s.Success++
	s.Current = d
	s.Maximum = max(s.Maximum, d)
	if s.Success == 1 {
		s.Minimum = d
	}
	s.Minimum = min(s.Minimum, d)
	// Welford's method: the sum of the squares would swallow small differences.
	x := float64(d)
	before := x - f.mean
	f.mean += before / float64(s.Success)
	f.squares += before * (x - f.mean)
	s.Average = time.Duration(f.mean)
	s.StandardDeviation = time.Duration(math.Sqrt(f.squares / float64(s.Success)))
}
