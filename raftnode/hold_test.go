package raftnode_test

import (
	"log/slog"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
)

// holder is machine 2 of two. It has heard that entry 2, which adds machine 3 as a learner,
// is committed, and has not synced that commit index yet.
type holder struct {
	t        *testing.T
	node     *raftnode.Node
	appends  []*raftnode.Append
	applied  []uint64 // the last entry of each run that was handed out, in order
	installs []uint64
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	node, err := raftnode.New(raftnode.Config{
		MemberID: 2, ElectionTicks: 10, HeartbeatTicks: 1, RequestTicks: 20, MaxMembers: 9,
		Log: slog.New(slog.DiscardHandler),
	}, raftnode.State{
		HardState: &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(1))},
		Snapshot: &raftpb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}},
		},
	}, raftnode.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{t: t, node: node}
	change, err := proto.Marshal(&raftpb.ConfChange{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(3))})
	if err != nil {
		t.Fatal(err)
	}
	h.step(&raftpb.Message{
		Type: raftpb.MsgApp.Enum(), Index: new(uint64(1)), LogTerm: new(uint64(1)), Commit: new(uint64(1)),
		Entries: []*raftpb.Entry{{Index: new(uint64(2)), Term: new(uint64(1)), Type: raftpb.EntryConfChange.Enum(), Data: change}},
	})
	h.sync()
	h.step(&raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Commit: new(uint64(2))})
	if len(h.applied) > 0 {
		t.Fatal("a membership change is handed out before it is durable that it is committed")
	}
	return h
}

// step delivers a message of machine 1.
func (h *holder) step(m *raftpb.Message) {
	h.t.Helper()
	m.From, m.To = new(uint64(1)), new(uint64(2))
	if m.Term == nil {
		m.Term = new(uint64(1))
	}
	if err := h.node.Step(raftnode.Message{Message: m}, raftnode.Reading{}); err != nil {
		h.t.Fatal(err)
	}
	h.work()
}

// install delivers a snapshot at index with the given voters.
func (h *holder) install(index uint64, voters ...uint64) {
	h.t.Helper()
	h.step(&raftpb.Message{Type: raftpb.MsgSnap.Enum(), Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: new(index), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: voters},
	}}})
}

// work takes all work that the node has ready.
func (h *holder) work() {
	for {
		w, ok := h.node.Work(raftnode.Reading{})
		if !ok {
			return
		}
		if w.Append != nil {
			h.appends = append(h.appends, w.Append)
		}
		if w.Install != nil {
			h.installs = append(h.installs, w.Install.GetIndex())
		}
		if w.Apply != nil {
			if len(h.installs) > 0 {
				h.t.Fatalf("entries up to %d are handed out after the snapshot at %d", w.Apply.Last, h.installs[0])
			}
			h.applied = append(h.applied, w.Apply.Last)
			if err := h.node.Applied(w.Apply); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// sync makes everything durable that was handed out so far, in one write.
func (h *holder) sync() {
	h.t.Helper()
	done := h.appends
	h.appends = nil
	for _, a := range done {
		if !a.Urgent {
			continue
		}
		if err := h.node.Appended(a); err != nil {
			h.t.Fatal(err)
		}
	}
	h.work()
}

func (h *holder) want(applied, installs []uint64, voters, learners []uint64) {
	h.t.Helper()
	if !slices.Equal(h.applied, applied) || !slices.Equal(h.installs, installs) {
		h.t.Fatalf("handed out %v, installed %v; want %v and %v", h.applied, h.installs, applied, installs)
	}
	s := h.node.Status()
	if !slices.Equal(s.Voters, voters) || !slices.Equal(s.Learners, learners) {
		h.t.Fatalf("voters %v, learners %v; want %v and %v", s.Voters, s.Learners, voters, learners)
	}
}

// A snapshot arrives while an older conf change waits for the disk. The change must not be
// applied on top of the snapshot's members.
func TestSnapshotWaitsForHeldConfChange(t *testing.T) {
	h := newHolder(t)
	h.install(10, 1, 2, 3)
	h.want(nil, nil, []uint64{1, 2}, nil)
	h.sync()
	h.sync()
	h.want([]uint64{2}, []uint64{10}, []uint64{1, 2, 3}, nil)
}

// Of several snapshots that wait only the newest is installed.
func TestNewestHeldSnapshotIsInstalled(t *testing.T) {
	h := newHolder(t)
	h.install(10, 1, 2, 3)
	h.install(20, 1, 2, 4)
	h.sync()
	h.sync()
	h.want([]uint64{2}, []uint64{20}, []uint64{1, 2, 4}, nil)
}

// A new leader makes a snapshot that waits obsolete, but not the conf change.
func TestElectionWhileSnapshotIsHeld(t *testing.T) {
	h := newHolder(t)
	h.install(10, 1, 2, 3)
	h.step(&raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(2)), Commit: new(uint64(2))})
	h.sync()
	h.sync()
	h.want([]uint64{2}, nil, []uint64{1, 2}, []uint64{3})
}
