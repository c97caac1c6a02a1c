package raftnode

import (
	"math"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// FollowerStats says how a member takes the appends of the machine that leads it, since
// that one leads.
type FollowerStats struct {
	Member uint64
	// Success is how many appends with entries were answered: they are on its disk.
	Success uint64
	// Fail is how many were not: refused, lost with their connection, or without an answer
	// for too long. An attempt to reach the member that fails counts as well.
	Fail uint64
	// Current is how long the last append took that was answered, from sending it to its
	// answer. The others are of all that were answered.
	Current, Average, StandardDeviation, Minimum, Maximum time.Duration
}

// Followers measures the appends of a leader. It hears of every message and is told
// the time, in nanoseconds; any clock will do that does not run backwards. The zero value
// is ready.
type Followers struct {
	members map[uint64]*follower
	term    uint64
}

type follower struct {
	stats   FollowerStats
	mean    float64      // nanoseconds
	squares float64      // sum of the squared differences from the mean
	sent    []sentAppend // without an answer, oldest first
}

type sentAppend struct {
	last uint64 // index of its last entry
	at   uint64
}

// Reset forgets everything: another machine leads, or this one does anew.
func (f *Followers) Reset() { f.members, f.term = nil, 0 }

// Sent takes a message for another member. Only appends with entries count: the others
// ask nobody's disk.
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

// Answered takes a message from another member. An answer speaks for all appends up to
// its index.
func (f *Followers) Answered(m *raftpb.Message, now uint64) {
	if m.GetType() != raftpb.MsgAppResp || m.GetTerm() != f.term || f.members[m.GetFrom()] == nil {
		return
	}
	from := f.of(m.GetFrom())
	if m.GetReject() {
		from.fail(len(from.sent)) // it lacks what is before them
		return
	}
	done := 0
	for done < len(from.sent) && from.sent[done].last <= m.GetIndex() {
		from.took(max(now, from.sent[done].at) - from.sent[done].at)
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

// Expire gives up what was sent before a time and not answered.
func (f *Followers) Expire(before uint64) {
	for _, to := range f.members {
		late := 0
		for late < len(to.sent) && to.sent[late].at < before {
			late++
		}
		to.fail(late)
	}
}

// Stats returns what was measured of these members, those without any news included, in
// the same order. Others are forgotten.
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

// fail gives up the n oldest.
func (f *follower) fail(n int) {
	f.stats.Fail += uint64(n)
	f.sent = slices.Delete(f.sent, 0, n)
}

func (f *follower) took(nanoseconds uint64) {
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
