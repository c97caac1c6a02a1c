package raftnode

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// maxIndex is beyond what any log reaches: at a million entries a second it takes two
	// thousand years.
	maxIndex = 1 << 56
	// maxBare is how many entries of a log, beyond one for each term, may carry no command
	// one after the other: the promotions of learners. There are far fewer.
	maxBare = 1 << 10
)

// ErrBadSnapshot is why a snapshot of another member is not received, or not taken.
var ErrBadSnapshot = errors.New("this is no snapshot for this machine")

func badSnapshot(format string, args ...any) error {
	return fmt.Errorf("raftnode: %w: "+format, append([]any{ErrBadSnapshot}, args...)...)
}

// DecodeOffer reads the Raft message with which a snapshot comes. It contains nothing but
// what belongs to that, and what it says of the snapshot makes sense in itself.
func DecodeOffer(b []byte) (*raftpb.Message, error) {
	got := &raftpb.Message{}
	if err := proto.Unmarshal(b, got); err != nil {
		return nil, badSnapshot("its message: %v", err)
	}
	meta := got.GetSnapshot().GetMetadata()
	conf := meta.GetConfState()
	m := &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(got.GetFrom()), To: new(got.GetTo()), Term: new(got.GetTerm()),
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			Index: new(meta.GetIndex()), Term: new(meta.GetTerm()),
			ConfState: &raftpb.ConfState{Voters: conf.GetVoters(), Learners: conf.GetLearners()},
		}},
	}
	ids := slices.Sorted(slices.Values(slices.Concat(conf.GetVoters(), conf.GetLearners())))
	switch {
	case got.GetType() != raftpb.MsgSnap:
		return nil, badSnapshot("its message is %s", got.GetType())
	case meta.GetIndex() == 0 || meta.GetIndex() >= maxIndex:
		return nil, badSnapshot("it ends at entry %d", meta.GetIndex())
	case meta.GetTerm() == 0 || meta.GetTerm() > got.GetTerm():
		return nil, badSnapshot("it is of term %d, and its leader of term %d", meta.GetTerm(), got.GetTerm())
	case len(conf.GetVoters()) == 0:
		return nil, badSnapshot("nobody has a vote in it")
	case len(conf.GetVotersOutgoing()) > 0 || len(conf.GetLearnersNext()) > 0 || conf.GetAutoLeave():
		return nil, badSnapshot("it is of a membership change of a kind that this program does not make")
	case ids[0] == raft.None || ids[len(ids)-1] >= reservedIDs:
		return nil, badSnapshot("a member in it has the ID %016x", ids[len(ids)-1])
	case len(slices.Compact(slices.Clone(ids))) != len(ids):
		return nil, badSnapshot("a member is in it twice")
	}
	return m, nil
}

// Offered says whether the snapshot that m of [DecodeOffer] speaks of shall be received: it
// is from whoever leads, as far as is known here, and of a cluster that this machine belongs
// to. needed is false if this machine has the entries already: then Raft wants to hear of
// the snapshot all the same, because its leader does not know that.
func (n *Node) Offered(m *raftpb.Message) (needed bool, err error) {
	if err := n.believe(Message{Message: m}); err != nil {
		return false, badSnapshot("%v", err)
	}
	meta, status := m.GetSnapshot().GetMetadata(), n.raw.BasicStatus()
	conf := meta.GetConfState()
	switch {
	case m.GetTo() != n.cfg.MemberID || m.GetFrom() == n.cfg.MemberID:
		return false, badSnapshot("it is from %016x for %016x", m.GetFrom(), m.GetTo())
	case m.GetTerm() < status.HardState.GetTerm():
		return false, badSnapshot("its sender led term %d, and this is term %d", m.GetTerm(), status.HardState.GetTerm())
	case m.GetTerm() == status.HardState.GetTerm() && status.Lead != raft.None && status.Lead != m.GetFrom():
		return false, badSnapshot("another member leads in term %d, not its sender", m.GetTerm())
	case !slices.Contains(conf.GetVoters(), n.cfg.MemberID) && !slices.Contains(conf.GetLearners(), n.cfg.MemberID):
		return false, badSnapshot("this machine is no member in it")
	}
	return meta.GetIndex() > status.HardState.GetCommit(), nil
}

// CheckState says whether the state in a snapshot is what its metadata says: index is that
// of the last command in it, and roster who the members are.
func CheckState(meta *raftpb.SnapshotMetadata, index uint64, roster Roster) error {
	conf := meta.GetConfState()
	if last := meta.GetIndex(); index > last || last-index > meta.GetTerm()+maxBare {
		return badSnapshot("it is to end at entry %d, and its last command is %d", last, index)
	}
	listed := make([]uint64, len(roster.Members))
	for i, m := range roster.Members {
		listed[i] = m.ID
	}
	slices.Sort(listed)
	members := slices.Sorted(slices.Values(slices.Concat(conf.GetVoters(), conf.GetLearners())))
	if !slices.Equal(listed, members) {
		return badSnapshot("%d members are to be in it, and those that it lists are others, %d", len(members), len(listed))
	}
	for _, id := range roster.Removed {
		if slices.Contains(listed, id) {
			return badSnapshot("%016x is a member in it, and was removed", id)
		}
	}
	return nil
}
