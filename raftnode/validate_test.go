package raftnode_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
)

// role is the state of a machine when it receives forged messages.
type role struct {
	name string
	// victim brings a machine of a cluster of three, or one, into the role.
	victim func(c *cluster) *server
	size   int
}

var roles = []role{
	{"alone", func(c *cluster) *server { return c.leader() }, 1},
	{"leader", func(c *cluster) *server { return c.leader() }, 3},
	{"follower", func(c *cluster) *server { return c.followers()[0] }, 3},
	{"candidate", func(c *cluster) *server {
		s := c.followers()[0]
		c.isolate(s)
		if err := s.node.Campaign(); err != nil {
			c.t.Fatalf("%v", err)
		}
		c.settle()
		return s
	}, 3},
	{"joining", func(c *cluster) *server {
		s := c.joiner()
		s.start()
		return s
	}, 1},
}

// position is the state of the victim, and a member in whose name messages are forged.
type position struct {
	term, last, from uint64
	leads            bool
}

// forgery is a message that no correct member sends.
type forgery struct {
	name  string
	forge func(p position) *raftpb.Message
}

// late reports whether m is an answer that a machine ignores unless it leads, and that may
// reach a former leader.
func late(m *raftpb.Message, leads bool) bool {
	return !leads && (m.GetType() == raftpb.MsgAppResp || m.GetType() == raftpb.MsgHeartbeatResp)
}

func contextOf(b uint64) []byte { return binary.LittleEndian.AppendUint64(nil, b) }

// entries returns entries with the given terms.
func entries(first uint64, terms ...uint64) (list []*raftpb.Entry) {
	for i, term := range terms {
		list = append(list, &raftpb.Entry{Index: new(first + uint64(i)), Term: new(term)})
	}
	return list
}

func changing(index, term uint64, change *raftpb.ConfChange) []*raftpb.Entry {
	data, err := proto.Marshal(change)
	if err != nil {
		panic(err)
	}
	return []*raftpb.Entry{{Index: new(index), Term: new(term), Type: raftpb.EntryConfChange.Enum(), Data: data}}
}

var forgeries = []forgery{
	{"heartbeat in the highest term but one", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(1<<64 - 2))}
	}},
	{"heartbeat in an implausible term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(p.term + 1<<25)}
	}},
	{"heartbeat without a term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Commit: new(p.last + 5)}
	}},
	{"heartbeat with a truncated context", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(p.term + 1), Context: []byte("1234")}
	}},
	{"vote request in the highest term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgVote.Enum(), Term: new(uint64(1<<64 - 1)), Index: new(p.last), LogTerm: new(p.term)}
	}},
	{"vote request with a log of a later term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgVote.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term + 1)}
	}},
	{"vote request with the highest index", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgPreVote.Enum(), Term: new(p.term + 1), Index: new(uint64(1 << 63)), LogTerm: new(p.term)}
	}},
	{"vote request without a term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgVote.Enum(), Index: new(p.last), LogTerm: new(p.term)}
	}},
	{"vote rejection in the highest term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgPreVoteResp.Enum(), Term: new(uint64(1<<64 - 1)), Reject: new(true)}
	}},
	{"append with a gap", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: entries(p.last+2, p.term+1)}
	}},
	{"append over committed entries", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: entries(1, p.term+1, p.term+1)}
	}},
	{"append of entry 0", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Entries: entries(0, p.term+1)}
	}},
	{"append with falling terms", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: entries(p.last+1, p.term+1, p.term)}
	}},
	{"append of entries of a later term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: entries(p.last+1, p.term+2)}
	}},
	{"append of a joint conf change", func(p position) *raftpb.Message {
		e := entries(p.last+1, p.term+1)
		e[0].Type = raftpb.EntryConfChangeV2.Enum()
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: e, Commit: new(p.last + 1)}
	}},
	{"append of a malformed conf change", func(p position) *raftpb.Message {
		e := entries(p.last+1, p.term+1)
		e[0].Type, e[0].Data = raftpb.EntryConfChange.Enum(), []byte("\xff")
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: e, Commit: new(p.last + 1)}
	}},
	{"append of a conf change with a reserved ID", func(p position) *raftpb.Message {
		e := changing(p.last+1, p.term+1, &raftpb.ConfChange{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(raft.LocalAppendThread))})
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: e, Commit: new(p.last + 1)}
	}},
	{"append of an entry without an envelope", func(p position) *raftpb.Message {
		e := entries(p.last+1, p.term+1)
		e[0].Data = []byte("garbage")
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(p.last), LogTerm: new(p.term), Entries: e, Commit: new(p.last + 1)}
	}},
	{"append after the highest index", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term + 1), Index: new(uint64(1<<64 - 1)), LogTerm: new(p.term), Entries: entries(0, p.term+1)}
	}},
	{"empty snapshot", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgSnap.Enum(), Term: new(p.term + 1)}
	}},
	{"snapshot without this machine", func(p position) *raftpb.Message {
		return snapshotMessage(p, &raftpb.ConfState{Voters: []uint64{p.from}})
	}},
	{"snapshot with a duplicate member", func(p position) *raftpb.Message {
		return snapshotMessage(p, &raftpb.ConfState{Voters: []uint64{1, 2, 2, 3}, Learners: []uint64{1, 2}})
	}},
	{"snapshot with a joint configuration", func(p position) *raftpb.Message {
		return snapshotMessage(p, &raftpb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 2, 3, 4}, LearnersNext: []uint64{9}, AutoLeave: new(true)})
	}},
	{"snapshot at the highest index", func(p position) *raftpb.Message {
		m := snapshotMessage(p, &raftpb.ConfState{Voters: []uint64{1, 2, 3}})
		m.Snapshot.Metadata.Index = new(uint64(1<<64 - 1))
		return m
	}},
	{"ReadIndex without a context", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgReadIndex.Enum()}
	}},
	{"ReadIndex with a term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgReadIndex.Enum(), Term: new(p.term), Entries: []*raftpb.Entry{{Data: contextOf(1)}}}
	}},
	{"ReadIndex response without a context", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgReadIndexResp.Enum(), Term: new(p.term)}
	}},
	{"local TransferLeader", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgTransferLeader.Enum(), Term: new(p.term)}
	}},
	{"local ForgetLeader", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgForgetLeader.Enum()}
	}},
	{"empty proposal", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgProp.Enum()}
	}},
	{"local response of the apply thread", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgStorageApplyResp.Enum(), From: new(uint64(raft.LocalApplyThread)), Entries: entries(1<<40, 1)}
	}},
	{"local response of the append thread", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgStorageAppendResp.Enum(), From: new(uint64(raft.LocalAppendThread)), Index: new(uint64(1 << 40)), LogTerm: new(uint64(9))}
	}},
	{"unknown message type", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MessageType(-1).Enum(), Term: new(p.term)}
	}},
	{"sender 0", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), From: new(uint64(0)), Term: new(p.term)}
	}},
	{"ack in an implausible term", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(uint64(1 << 62))}
	}},
}

// ofTheTerm are forgeries by an attacker who knows the term and its leader.
var ofTheTerm = []forgery{
	{"ack beyond the log", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(p.term), Index: new(p.last + 100)}
	}},
	{"rejection beyond the log", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(p.term), Index: new(p.last + 100), Reject: new(true), RejectHint: new(p.last + 100)}
	}},
	{"heartbeat response with an unknown context", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeatResp.Enum(), Term: new(p.term), Context: contextOf(1 << 40)}
	}},
	{"heartbeat response with a truncated context", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeatResp.Enum(), Term: new(p.term), Context: []byte("123")}
	}},
	{"heartbeat from a second leader", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(p.term)}
	}},
	{"append from a second leader", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), Term: new(p.term), Index: new(p.last), LogTerm: new(p.term), Entries: entries(p.last+1, p.term), Commit: new(p.last + 1)}
	}},
	{"TimeoutNow from a second leader", func(p position) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), Term: new(p.term)}
	}},
}

func snapshotMessage(p position, members *raftpb.ConfState) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgSnap.Enum(), Term: new(p.term + 1), Snapshot: &raftpb.Snapshot{
		Metadata: &raftpb.SnapshotMetadata{Index: new(p.last + 10), Term: new(p.term), ConfState: members},
	}}
}

// Forged messages are refused by a machine in any role: it goes on, and restarts from what it
// has on disk.
func TestForgedMessages(t *testing.T) {
	for _, r := range roles {
		for _, f := range forgeries {
			t.Run(r.name+"/"+f.name, func(t *testing.T) { r.survives(t, f) })
		}
	}
	for _, r := range roles[1:3] { // those with a leader that forgeries can contradict
		for _, f := range ofTheTerm {
			t.Run(r.name+"/"+f.name, func(t *testing.T) { r.survives(t, f) })
		}
	}
}

func (r role) survives(t *testing.T, f forgery) {
	c := grown(repeatable(t), r.size)
	before := c.leader().propose()
	c.settle()
	c.wantDone(before)
	victim := r.victim(c)
	status := victim.node.Status()
	p := position{term: status.Term, last: status.Commit, from: 3, leads: victim.leader.Self}
	for _, other := range c.up() { // not the leader, and not the victim
		if other != victim && !other.leader.Self {
			p.from = other.id
		}
	}
	// Twice, from all members: a majority might succeed where one fails.
	for range 2 {
		for _, from := range append([]uint64{p.from}, others(c, victim)...) {
			if r.name == "follower" && from != p.from {
				continue
			}
			m := f.forge(p)
			if m.From == nil {
				m.From = new(from)
			}
			m.To = new(victim.id)
			if err := victim.node.Step(raftnode.Message{Message: m}, victim.reading()); err == nil && !late(m, p.leads) || errors.Is(err, raftnode.ErrLost) {
				t.Errorf("%v is taken: %v", m, err)
			}
			victim.tick(1)
			victim.work()
		}
	}
	c.heal()
	c.settle()
	if victim.disk.hardState.GetTerm() > status.Term+1 {
		t.Errorf("the term on disk is %d, and was %d", victim.disk.hardState.GetTerm(), status.Term)
	}
	victim.crash(len(victim.wal))
	victim.start()
	c.pass(60)
	after := c.leader().propose()
	c.settle()
	c.wantDone(after)
	if r.name != "joining" {
		c.wantSame()
	}
}

func others(c *cluster, victim *server) (ids []uint64) {
	for _, s := range c.up() {
		if s != victim {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// A heartbeat that names acknowledgements which this machine lacks ends it, but only from a
// member of the configuration.
func TestHeartbeatFromStrangerIsNotFatal(t *testing.T) {
	c := grown(repeatable(t), 3)
	victim := c.followers()[0]
	status := victim.node.Status()
	heartbeat := func(from uint64) error {
		return victim.node.Step(raftnode.Message{Message: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: new(from), To: new(victim.id), Term: new(status.Term + 1), Commit: new(uint64(1 << 40)),
		}}, victim.reading())
	}
	if err := heartbeat(99); err == nil || errors.Is(err, raftnode.ErrLost) {
		t.Errorf("a stranger: %v", err)
	}
	if err := heartbeat(c.leader().id); !errors.Is(err, raftnode.ErrLost) {
		t.Errorf("a member: %v", err)
	}
}

// A heartbeat may name what a machine has acknowledged, while an append before it in the same
// batch truncates that, if it is from a leader that Raft would not elect. Raft must not see
// that heartbeat.
func TestHeartbeatAfterTruncatingAppend(t *testing.T) {
	node, err := raftnode.New(testConfig(), raftnode.State{
		HardState: &raftpb.HardState{Term: new(uint64(2)), Vote: new(uint64(9)), Commit: new(uint64(4))},
		Snapshot: &raftpb.SnapshotMetadata{
			Index: new(uint64(4)), Term: new(uint64(2)), ConfState: &raftpb.ConfState{Voters: []uint64{self, 9}},
		},
		Entries: entries(5, 2, 2, 2),
	}, raftnode.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*raftpb.Message{
		{Type: raftpb.MsgApp.Enum(), Term: new(uint64(3)), Index: new(uint64(4)), LogTerm: new(uint64(2)), Entries: entries(5, 3)},
		{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(3)), Commit: new(uint64(7))},
	} {
		m.From, m.To = new(uint64(9)), new(uint64(self))
		if err := node.Step(raftnode.Message{Message: m}, raftnode.Reading{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A machine believes terms that missed elections explain: those while it was down, and as many
// as there can have been since.
func TestPlausibleTerms(t *testing.T) {
	node := followerIn(t, testConfig(), 5)
	heartbeat := func(term uint64) error {
		return node.Step(raftnode.Message{Message: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(9)), To: new(uint64(self)), Term: new(term),
		}}, raftnode.Reading{})
	}
	const ahead = 5 + raftnode.MaxTermJump
	for range 10 {
		node.Tick()
	}
	for _, c := range []struct {
		term uint64
		ok   bool
	}{{6, true}, {ahead + 11, false}, {ahead + 10, true}, {ahead + 11, false}} {
		if err := heartbeat(c.term); (err == nil) != c.ok {
			t.Errorf("term %d: %v", c.term, err)
		}
	}
	// The refusal ends when enough time has passed for more elections.
	node.Tick()
	if err := heartbeat(ahead + 11); err != nil {
		t.Error(err)
	}
}

// A term on disk that would make Raft panic is an error.
func TestImplausibleTermOnDisk(t *testing.T) {
	_, err := raftnode.New(testConfig(), raftnode.State{
		HardState: &raftpb.HardState{Term: new(uint64(1<<64 - 2)), Vote: new(uint64(0)), Commit: new(uint64(0))},
	}, raftnode.Reading{})
	if err == nil {
		t.Fatal("it starts")
	}
}

// The time of the log is believed from members only, and not if it is absurd.
func TestTimesOfOthersAreChecked(t *testing.T) {
	const year2500 = 530 * 365 * 24 * 3600 * 1_000_000_000
	for _, c := range []struct {
		name       string
		from, time uint64
		known      bool
	}{
		{"a member", 9, 1_800_000_000_000_000_000, true},
		{"a stranger", 99, 1_800_000_000_000_000_000, false},
		{"a member of the year 2500", 9, year2500, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := followerIn(t, testConfig(), 2)
			m := &raftpb.Message{Type: raftpb.MsgVoteResp.Enum(), From: new(c.from), To: new(uint64(self)), Term: new(uint64(2))}
			if err := node.Step(raftnode.Message{Message: m, Time: c.time}, raftnode.Reading{}); (err == nil) != (c.time < year2500) {
				t.Error(err)
			}
			if clock := node.Clock(); clock.Known() != c.known {
				t.Errorf("the time is known: %t, %d", clock.Known(), clock.At(raftnode.Reading{}))
			}
		})
	}
}

// Entries from another machine must be such that they can be applied, unless an operator has
// decided to skip them. Commands are only decoded if the sender may be a stranger.
func TestEntriesFromPeersAreChecked(t *testing.T) {
	envelope := func(version byte, now uint64, command string) []byte {
		b := binary.LittleEndian.AppendUint64([]byte{version, 9, 0, 0, 0, 0, 0, 0, 0}, now)
		return append(b, command...)
	}
	const now = 1_800_000_000_000_000_000
	for _, c := range []struct {
		name     string
		data     []byte
		unproven bool
		skip     []uint64
		taken    bool
	}{
		{"a command", envelope(1, now, "good"), false, nil, true},
		{"command of an unproven sender", envelope(1, now, "good"), true, nil, true},
		{"invalid command of a proven leader", envelope(1, now, "bad"), false, nil, true},
		{"invalid command of an unproven sender", envelope(1, now, "bad"), true, nil, false},
		{"an entry of the year 2500", envelope(1, 16_725_225_600_000_000_000, "good"), false, nil, false},
		{"no envelope", []byte("x"), false, nil, false},
		{"unknown envelope version", envelope(7, now, "good"), false, nil, false},
		{"skipped entry", envelope(7, now, "good"), false, []uint64{2}, true},
		{"skipped entry of an unproven sender", envelope(1, now, "bad"), true, []uint64{2}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Skip = raftnode.Skip{Indexes: c.skip, CheckCommand: func(command []byte) error {
				if string(command) == "bad" {
					return errors.New("garbage")
				}
				return nil
			}}
			node := followerIn(t, cfg, 2)
			m := &raftpb.Message{
				Type: raftpb.MsgApp.Enum(), From: new(uint64(9)), To: new(uint64(self)), Term: new(uint64(2)), Index: new(uint64(1)), LogTerm: new(uint64(1)),
				Entries: []*raftpb.Entry{{Index: new(uint64(2)), Term: new(uint64(2)), Data: c.data}},
			}
			if err := node.Step(raftnode.Message{Message: m, Unproven: c.unproven}, raftnode.Reading{}); (err == nil) != c.taken {
				t.Error(err)
			}
		})
	}
}

// followerIn starts a machine in a term, with an empty log after a snapshot at entry 1. 8 and
// 9 are the other members.
func followerIn(t *testing.T, cfg raftnode.Config, term uint64) *raftnode.Node {
	t.Helper()
	node, err := raftnode.New(cfg, raftnode.State{
		HardState: &raftpb.HardState{Term: new(term), Vote: new(uint64(0)), Commit: new(uint64(1))},
		Snapshot: &raftpb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{self, 8, 9}},
		},
	}, raftnode.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}
