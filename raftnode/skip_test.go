package raftnode_test

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
)

func enveloped(command string) []byte { return append([]byte("\x01........########"), command...) }

// unappliable lists entries that no machine can apply.
func unappliable(t *testing.T) map[string]*raftpb.Entry {
	change := func(c *raftpb.ConfChange) []byte {
		data, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	return map[string]*raftpb.Entry{
		"no envelope":     {Data: []byte("garbage")},
		"invalid command": {Data: enveloped(garbage)},
		"an unknown type": {Type: raftpb.EntryConfChangeV2.Enum()},
		"malformed conf change": {
			Type: raftpb.EntryConfChange.Enum(), Data: []byte{0xff},
		},
		"invalid command of a conf change": {
			Type: raftpb.EntryConfChange.Enum(), Data: change(&raftpb.ConfChange{
				Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(9)), Context: enveloped(garbage),
			}),
		},
		"removal of the last voter": {
			Type: raftpb.EntryConfChange.Enum(), Data: change(&raftpb.ConfChange{Type: raftpb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(self))}),
		},
		"demotion of the last voter": {
			Type: raftpb.EntryConfChange.Enum(), Data: change(&raftpb.ConfChange{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(self))}),
		},
	}
}

func skip(indexes ...uint64) func(*raftnode.Config) {
	return func(c *raftnode.Config) { c.Skip = raftnode.Skip{Indexes: indexes, CheckCommand: checkCommand} }
}

// poisoned restarts a machine with a committed entry at index 3.
func poisoned(t *testing.T, e *raftpb.Entry, skip func(*raftnode.Config)) *machine {
	m := leading(t)
	e.Index, e.Term = new(uint64(3)), new(uint64(2))
	m.disk.entries = append(m.disk.entries, e)
	m.disk.hardState.Commit = new(uint64(3))
	skip(&m.cfg)
	m.crash(0)
	return m
}

// An entry that cannot be applied is empty if an operator skips it: no command and no conf
// change. The machine goes on after it, now and at its next start.
func TestSkippedEntry(t *testing.T) {
	for name, e := range unappliable(t) {
		t.Run(name, func(t *testing.T) {
			m := poisoned(t, e, skip(3))
			m.settle()
			for range 2 {
				write := m.propose()
				m.settle()
				if a := m.answers[write]; a.err != nil || a.index == 0 {
					t.Fatalf("a write: %+v", a)
				}
				if len(m.skipped) != 1 || m.skipped[0].Index != 3 || m.skipped[0].Why == nil || m.unappliable != nil {
					t.Fatalf("skipped %+v, stopped at %v", m.skipped, m.unappliable)
				}
				if members := m.node.Members(); !slices.Equal(members, []uint64{self}) {
					t.Fatalf("the members are %d", members)
				}
				m.skipped = nil
				m.crash(0)
				m.settle()
			}
		})
	}
}

// An entry that can be applied is not skipped: a machine that is told a wrong index must not
// diverge.
func TestAppliableEntryIsNotSkipped(t *testing.T) {
	e := &raftpb.Entry{Data: enveloped("command")}
	m := poisoned(t, e, skip(3))
	m.settle()
	if want := (record{3, "command"}); !slices.Contains(m.state, want) {
		t.Errorf("the state is %v", m.state)
	}
	if !slices.Equal(m.skipped, []raftnode.Skipped{{Index: 3}}) {
		t.Errorf("skipped %+v", m.skipped)
	}
	s := raftnode.Skip{Indexes: []uint64{3}, CheckCommand: checkCommand}
	if err := s.Check([]*raftpb.Entry{e}); err == nil {
		t.Error("it may be skipped")
	}
	for name, e := range unappliable(t) {
		e.Index = new(uint64(3))
		if err := s.Check([]*raftpb.Entry{e}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A forwarded command that cannot be decoded never becomes an entry, and its origin is told,
// as often as it is sent.
func TestForwardedInvalidCommandIsRejected(t *testing.T) {
	for name, command := range map[string][]byte{
		"garbage":  []byte(garbage),
		"too long": make([]byte, maxCommand+1),
	} {
		t.Run(name, func(t *testing.T) {
			c := grown(repeatable(t), 2)
			leader, f := c.leader(), c.followers()[0]
			entries := leader.handedOut
			payload := forward(1, leader.leader.Term, 0, 0, string(command))
			if err := leader.node.Forwarded(f.id, payload, raftnode.CheckForward(payload, maxCommand, checkCommand)); err == nil {
				t.Error("nothing is wrong with it")
			}
			if err := leader.node.Forwarded(f.id, payload, raftnode.CheckForward(payload, maxCommand, checkCommand)); err != nil {
				t.Errorf("it is worth more than one line: %v", err)
			}
			w, _ := leader.node.Work(leader.reading())
			if len(w.Rejects) != 2 || w.Rejects[0].To != f.id || w.Rejects[1].To != f.id {
				t.Fatalf("rejects %+v", w.Rejects)
			}
			c.settle()
			if leader.handedOut != entries {
				t.Errorf("it became entry %d", leader.handedOut)
			}
			c.hold = forwards
			write := f.propose()
			c.settle()
			id := c.takeInFlight(forwards)[0].forward[:8]
			if err := f.node.Rejected(leader.id, append(slices.Clone(id), w.Rejects[0].Payload[8:]...)); err != nil {
				t.Fatal(err)
			}
			f.work()
			c.wantFailed(write, raftnode.ErrBadCommand)
		})
	}
}

// The size of commands of a machine's own clients is bounded as well: one that does not fit
// into a frame would stop all writes.
func TestTooLongCommand(t *testing.T) {
	m := leading(t)
	long := m.ticket("too long")
	m.node.Propose(make([]byte, maxCommand+1), long)
	m.work()
	m.wantAnswer(long, answer{err: raftnode.ErrBadCommand})
}

// Only the machine to which a proposal was forwarded can reject it.
func TestRejectionFromOtherMachineIsIgnored(t *testing.T) {
	c := grown(repeatable(t), 3)
	f, other := c.followers()[0], c.followers()[1]
	c.hold = forwards
	write := f.propose()
	c.settle()
	p := c.takeInFlight(forwards)[0]
	if err := f.node.Rejected(other.id, append(slices.Clone(p.forward[:8]), 1)); err != nil {
		t.Fatal(err)
	}
	f.work()
	c.wantOpen(write)
	c.deliver(p)
	c.heal()
	c.settle()
	c.wantDone(write)
}
