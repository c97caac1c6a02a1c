package raftnode

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// maxWithoutCommand is how many entries of a log, beyond one for each term, may carry no command
// one after the other: the promotions of learners. There are far fewer.
const maxWithoutCommand = 1 << 10

// ErrBadSnapshot is why a snapshot of another member is not received, or not installed.
var ErrBadSnapshot = errors.New("invalid snapshot for this machine")

func badSnapshot(format string, args ...any) error {
	return fmt.Errorf("raftnode: %w: "+format, append([]any{ErrBadSnapshot}, args...)...)
}

// DecodeOffer reads the Raft message with which a snapshot comes. It fails if the message
// contains anything else, or describes a snapshot that cannot exist.
func DecodeOffer(b []byte) (*raftpb.Message, error) {
	got := &raftpb.Message{}
	if err := proto.Unmarshal(b, got); err != nil {
		return nil, badSnapshot("unmarshal its message: %v", err)
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
	if got.GetType() != raftpb.MsgSnap {
		return nil, badSnapshot("its message is %s", got.GetType())
	}
	if err := checkSnapshot(got); err != nil {
		return nil, badSnapshot("%v", err)
	}
	return m, nil
}

// Offered returns why the snapshot that m of [DecodeOffer] describes must not be received: it
// has to come from the leader, as far as this machine knows, and from a cluster that this
// machine belongs to. needed is false if this machine has the entries already: Raft has to get
// the message all the same, because the leader does not know that.
func (n *Node) Offered(m *raftpb.Message) (needed bool, err error) {
	if err := n.validate(Message{Message: m}); err != nil {
		return false, badSnapshot("%v", err)
	}
	meta, status := m.GetSnapshot().GetMetadata(), n.raw.BasicStatus()
	if m.GetTerm() < status.HardState.GetTerm() {
		return false, badSnapshot("stale term %d, the current one is %d", m.GetTerm(), status.HardState.GetTerm())
	}
	return meta.GetIndex() > status.HardState.GetCommit(), nil
}

// offeredSnapshot is the size of the last snapshot received, in bytes.
type offeredSnapshot struct{ index, size uint64 }

// offeredSize returns the size of a snapshot that is installed; 0 if it is not known any more.
func (n *Node) offeredSize(meta *raftpb.SnapshotMetadata) uint64 {
	if n.snapshots.offered.index != meta.GetIndex() {
		return 0
	}
	return n.snapshots.offered.size
}

// CheckState returns why the state in a snapshot is not what its metadata says: index is that
// of the last command in it, and roster who the members are.
func CheckState(meta *raftpb.SnapshotMetadata, index uint64, roster Roster) error {
	conf := meta.GetConfState()
	if last := meta.GetIndex(); index > last || last-index > meta.GetTerm()+maxWithoutCommand {
		return badSnapshot("its index is %d, and its last command has index %d", last, index)
	}
	listed := make([]uint64, len(roster.Members))
	for i, m := range roster.Members {
		listed[i] = m.ID
	}
	slices.Sort(listed)
	members := slices.Sorted(slices.Values(slices.Concat(conf.GetVoters(), conf.GetLearners())))
	if !slices.Equal(listed, members) {
		return badSnapshot("the %d members of its configuration are not the %d that it lists", len(members), len(listed))
	}
	for _, id := range roster.Removed {
		if slices.Contains(listed, id) {
			return badSnapshot("it lists %016x both as a member and as removed", id)
		}
	}
	return nil
}
