package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

const (
	// readBackBytes is how much is read back at once, in bytes.
	readBackBytes = 4 << 20
	// maxWindows bounds the windows that are kept.
	maxWindows = 4
	// maxWantedReads bounds the reads that wait: one for each follower, and one to apply.
	maxWantedReads = 16
)

// readBack is what was read back of the log: a few windows, the least recently used first.
type readBack struct {
	windows [][]*raftpb.Entry
	wanted  []uint64 // where the next reads are to begin, oldest first
	reading uint64   // where the read in flight begins; 0: none
}

// window returns the entries from lo on in the window that has it.
func (b *readBack) window(lo uint64) (entries []*raftpb.Entry, i int) {
	for i, w := range b.windows {
		if first := w[0].GetIndex(); lo >= first && lo < first+uint64(len(w)) {
			return w[lo-first:], i
		}
	}
	return nil, -1
}

// get returns the entries from lo up to hi, as far as they were read back. What is missing is
// wanted, and so is what comes next, unless that is in the tail, which begins at end.
func (b *readBack) get(lo, hi, end uint64) []*raftpb.Entry {
	entries, i := b.window(lo)
	if i < 0 {
		b.want(lo)
		return nil
	}
	used := b.windows[i]
	b.windows = append(slices.Delete(b.windows, i, i+1), used)
	if next := lo + uint64(len(entries)); next < end {
		if _, there := b.window(next); there < 0 {
			b.want(next)
		}
	}
	return entries[:min(uint64(len(entries)), hi-lo)]
}

func (b *readBack) want(index uint64) {
	if b.reading != index && !slices.Contains(b.wanted, index) && len(b.wanted) < maxWantedReads {
		b.wanted = append(b.wanted, index)
	}
}

// put keeps what was read, and evicts the least recently used window.
func (b *readBack) put(entries []*raftpb.Entry) {
	b.windows = append(b.windows, entries)
	if n := len(b.windows); n > maxWindows {
		b.windows = slices.Delete(b.windows, 0, n-maxWindows)
	}
}

// truncate drops the entries from index on.
func (b *readBack) truncate(index uint64) {
	for i, w := range b.windows {
		b.windows[i] = w[:min(uint64(len(w)), index-min(index, w[0].GetIndex()))]
	}
	b.windows = slices.DeleteFunc(b.windows, func(w []*raftpb.Entry) bool { return len(w) == 0 })
}

// ReadBack asks for entries that are on disk and not in memory: those from index From on, at
// least one, and as many as fit in so many bytes.
type ReadBack struct {
	From  uint64
	Bytes int
}

// requestReadBack asks for the next window; one is in flight at a time.
func (n *Node) requestReadBack() {
	s := n.storage
	for s.back.reading == 0 && len(s.back.wanted) > 0 {
		from := s.back.wanted[0]
		s.back.wanted = slices.Delete(s.back.wanted, 0, 1)
		if _, there := s.back.window(from); there >= 0 || from < s.first || from >= s.tailFirst() {
			continue
		}
		s.back.reading = from
		n.work.ReadBack = &ReadBack{From: from, Bytes: readBackBytes}
	}
}

// ReadBackDone answers a ReadBack. No entries mean that they are no longer on disk, because they were
// released meanwhile.
func (n *Node) ReadBackDone(from uint64, entries []*raftpb.Entry) error {
	s := n.storage
	if s.back.reading != from {
		return fmt.Errorf("raftnode: unrequested read-back of entries from %d on", from)
	}
	s.back.reading = 0
	valid := 0
	for i, e := range entries {
		// The log may have been overwritten since. Two entries with the same index and term are
		// equal.
		term, err := s.Term(e.GetIndex())
		if err != nil || e.GetIndex() != from+uint64(i) || e.GetIndex() < s.first || e.GetTerm() != term {
			break
		}
		valid++
	}
	if valid > 0 {
		s.back.put(entries[:valid:valid])
		n.resumeAppends(from, from+uint64(valid))
		return nil
	}
	if term, err := s.Term(from); len(entries) == 0 && from >= s.first && err == nil {
		return fmt.Errorf("raftnode: entry %d of term %d is not in the log on disk", from, term)
	}
	return nil
}

// resumeAppends makes Raft send entries from one index up to another to the followers that wait for
// them. What triggers that is an answer to a heartbeat, which tells Raft nothing new.
func (n *Node) resumeAppends(from, to uint64) {
	status := n.raw.BasicStatus()
	if status.RaftState != raft.StateLeader {
		return
	}
	var waiting []uint64
	n.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != n.cfg.MemberID && pr.RecentActive && pr.State != tracker.StateSnapshot && pr.Next >= from && pr.Next < to {
			waiting = append(waiting, id)
		}
	})
	slices.Sort(waiting)
	for _, id := range waiting {
		n.stepOther(&raftpb.Message{
			Type: raftpb.MsgHeartbeatResp.Enum(), From: new(id), To: new(n.cfg.MemberID), Term: status.HardState.Term,
		})
	}
}

// mayCampaign reports whether Raft may start an election: before that it looks through all
// entries that are committed and not applied, so they have to be in memory.
func (n *Node) mayCampaign() bool {
	return n.storage.tailFirst() <= n.committed.applied+1 || n.raw.BasicStatus().HardState.GetCommit() <= n.committed.applied
}

// tickRaft lets time pass for Raft. A machine that still has to read back what it applies is no
// candidate, so its election timeout does not run. Raft then does not notice either that the
// leader is gone: it has to be told, lest it withhold this machine's vote from others because
// of that leader.
func (n *Node) tickRaft() {
	switch {
	case n.mayCampaign() || n.raw.BasicStatus().RaftState == raft.StateLeader:
		n.raw.Tick()
	case n.role.leader != raft.None && !n.alive(n.role.leader):
		_ = n.raw.ForgetLeader() // it fails for an option that is not in use
	}
}
