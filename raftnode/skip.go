package raftnode

import (
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// Skip is what an operator has decided about entries that no machine can apply. All machines
// have to be given the same.
type Skip struct {
	// Indexes are those of the entries. One that can be applied is applied all the same, so
	// that a machine with a wrong index does the same as the others.
	Indexes []uint64
	// CheckCommand returns why a command cannot be applied. It is required.
	CheckCommand func(command []byte) error
}

// Skipped is an entry that an operator wanted skipped.
type Skipped struct {
	Index uint64
	// Why is why it was. If it is nil the entry can be applied, and was not skipped.
	Why error
}

// Unappliable is a committed entry that cannot be applied. Machines that go on without it would
// differ from those that can apply it, so the process has to end.
type Unappliable struct {
	Index, Term uint64
	// Data is what is in the entry.
	Data []byte
	Why  error
}

func (u *Unappliable) Error() string {
	return fmt.Sprintf("entry %d of term %d cannot be applied: %v", u.Index, u.Term, u.Why)
}

// decode returns what an entry carries: nothing if it is skipped, for which why is the reason.
// listed reports whether it was to be skipped.
func (s Skip) decode(e *raftpb.Entry, check func(*raftpb.ConfChange) error) (c content, listed bool, why, err error) {
	c, err = decodeContent(e)
	if err == nil {
		err = check(c.change)
	}
	listed = slices.Contains(s.Indexes, e.GetIndex())
	if listed && err == nil && c.command != nil {
		err = s.CheckCommand(c.command)
	}
	if listed && err != nil {
		return content{}, true, err, nil
	}
	return c, listed, nil, err
}

// checkEntries returns why entries of another machine must not enter the log: no machine could
// apply them. Those that are to be skipped may, or a machine that lacks one could not get the
// entries after it. Commands are checked only if commands is true: that takes time, and a
// leader has done it.
func (s Skip) checkEntries(entries []*raftpb.Entry, commands bool) error {
	for _, e := range entries {
		if slices.Contains(s.Indexes, e.GetIndex()) {
			continue
		}
		c, err := decodeContent(e)
		switch {
		case err != nil:
		case c.now >= maxTime:
			err = errTime
		case c.change != nil && (c.change.GetNodeId() == 0 || c.change.GetNodeId() >= reservedIDs):
			err = errMemberID
		case commands && c.command != nil:
			err = s.CheckCommand(c.command)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
	}
	return nil
}

// Check returns an error if one of the entries is to be skipped and can be applied.
func (s Skip) Check(entries []*raftpb.Entry) error {
	for _, e := range entries {
		// Whether a member may lose its vote is known only when those before are applied.
		c, listed, why, _ := s.decode(e, anyChange)
		if listed && why == nil && !removesVote(c.change) {
			return fmt.Errorf("entry %d can be applied, so it must not be skipped: leave the flag out, or give the index of the entry that the message names", e.GetIndex())
		}
	}
	return nil
}

// Decode returns the commands of entries in the form in which they are handed out when they
// are committed, without tokens and without those that are skipped.
func (s Skip) Decode(entries []*raftpb.Entry) ([]Entry, error) {
	var decoded []Entry
	for _, e := range entries {
		c, _, _, err := s.decode(e, anyChange)
		if err != nil {
			return nil, fmt.Errorf("raftnode: entry %d: %w", e.GetIndex(), err)
		}
		if c.command != nil {
			decoded = append(decoded, Entry{Index: e.GetIndex(), Term: e.GetTerm(), Now: c.now, Command: c.command})
		}
	}
	return decoded, nil
}

// Commands returns the commands in entries, as far as they can be decoded.
func Commands(entries []*raftpb.Entry) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, e := range entries {
			c, err := decodeContent(e)
			if err == nil && c.command != nil && !yield(c.command) {
				return
			}
		}
	}
}

func anyChange(*raftpb.ConfChange) error { return nil }
