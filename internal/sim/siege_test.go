package sim

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store/storepb"
	"etcd/transport"
)

// FuzzPeer has the liar send what the input encodes: handshakes, frames, Raft messages,
// forwarded proposals and snapshots, in any order and between restarts.
func FuzzPeer(f *testing.F) {
	for _, script := range [][]byte{
		{}, {opPass, 9, opWrite, opRestart, 1},
		{opRaft, byte(raftpb.MsgHeartbeat), 6, 7, 7, 7, 0}, // of term 2^64-2
		{opRaft, byte(raftpb.MsgHeartbeat), 0, 7, 7, 4, 0}, // of a commit index of 2^40
		{opRaft, byte(raftpb.MsgAppResp), 0, 4, 0, 0, 0},
		{opRaft, byte(raftpb.MsgApp), 2, 1, 1, 1, 2, 0, 1, 3, 'a', 'b', 'c', 0, 1, 0},
		{opRaft, byte(raftpb.MsgApp), 1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0}, // an invalid command, as the next leader
		{opForward, 0, 0, 3, 'a', 'b', 'c'}, {opForward, 0, 2, 3, 0x3a, 1, 8}, {opForward, 1, 0, 0},
		{opSnapshot, 2, 3, 2, 0, 'n', 'o', 't', 'h', 'i', 'n', 'g'}, {opSnapshot, 2, 3, 2, 1, 0, 3},
		{opFrame, byte(transport.KindRefusal), 20, '{', '"', 'e', 'r', 'r', 'o', 'r', 'C', 'o', 'd', 'e', '"', ':', '4', '1', '0', '}'},
		{opFrame, byte(transport.KindReach), 7, '1', '-', '1', '-', '1', '-', '1'},
		{opFrame, byte(transport.KindHash), 4, 1, 2, 3, 4},
		{opHello, 1, 5, 'a', ':', '7', '0', '1', 0}, {opHello, 0, 3, 'a', '\r', '\n', 2, '1', '-'},
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		g := besiege(1, nil)
		s := &speech{siege: g, rest: script}
		for range 40 {
			if !s.say() || g.failed() {
				break
			}
		}
		if err := g.withstood(); err != nil {
			t.Error(err)
		}
	})
}

// The steps of a speech.
const (
	opPass = iota
	opRaft
	opFrame
	opForward
	opSnapshot
	opHello
	opWrite
	opRestart
	ops
)

// speech decodes the input of the fuzzer into what the liar sends.
type speech struct {
	*siege
	rest []byte
}

func (s *speech) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// text reads a length and at most max bytes.
func (s *speech) text(max int) []byte {
	n := min(int(s.byte()), len(s.rest), max)
	text := s.rest[:n:n]
	s.rest = s.rest[n:]
	return text
}

// near returns a number near the true one, or at the limits of uint64.
func (s *speech) near(truth uint64) uint64 {
	switch b := s.byte(); b % 16 {
	case 0:
		return truth
	case 1:
		return truth + 1
	case 2:
		return truth - 1
	case 3:
		return truth + uint64(s.byte())
	case 4:
		return truth + 1<<40
	case 5:
		return math.MaxUint64
	case 6:
		return math.MaxUint64 - 1
	case 7:
		return 0
	case 8:
		return 1 << 63
	case 9:
		return truth + uint64(binary.LittleEndian.Uint32(append(s.text(4), 0, 0, 0, 0)))
	case 10:
		return truth - uint64(s.byte())
	default:
		return uint64(b / 16)
	}
}

// member returns a member ID: the liar's, the machine's or another.
func (s *speech) member() uint64 {
	switch s.byte() % 4 {
	case 1:
		return s.m.memberID
	case 2:
		return s.near(0)
	}
	return liar.ID
}

// say does the next step, and reports whether there was one.
func (s *speech) say() bool {
	if len(s.rest) == 0 || !s.up() {
		return false
	}
	inbox := s.m.life.machine.Inbox
	switch s.byte() % ops {
	case opPass:
		s.pass(time.Duration(s.byte()) * 20 * time.Millisecond)
		return true
	case opRaft:
		m := s.message()
		payload, err := raftnode.Message{Message: m, Time: s.near(uint64(epoch.Add(s.now)))}.Encode()
		if err != nil {
			return true
		}
		_ = inbox.Deliver(s.member(), transport.Frame{Kind: transport.KindRaft, Payload: payload})
	case opFrame:
		_ = inbox.Deliver(s.member(), transport.Frame{Kind: transport.Kind(s.byte()), Payload: s.text(255)})
	case opForward:
		_ = inbox.Deliver(s.member(), transport.Frame{Kind: transport.KindForward, Payload: s.forward()})
	case opSnapshot:
		s.snapshot(inbox)
	case opHello:
		inbox.Admit(transport.Hello{
			Understood: actors.Understood(),
			ClusterID:  s.founded, From: s.member(), To: s.m.memberID, Class: transport.Class(1 + s.byte()%3),
			Addr: string(s.text(255)), Nonce: s.near(0), Reach: string(s.text(255)), Rival: s.byte()%4 == 1,
		})
	case opWrite:
		_ = s.write() // may fail: the liar may have made the machine step down
	case opRestart:
		s.restart(s.byte()%2 == 1)
	}
	s.pass(20 * time.Millisecond)
	return true
}

// message returns a Raft message.
func (s *speech) message() *raftpb.Message {
	m := &raftpb.Message{
		Type: raftpb.MessageType(s.byte() % 24).Enum(), From: proto.Uint64(liar.ID), To: proto.Uint64(s.m.memberID),
		Term: proto.Uint64(s.near(s.term)), Index: proto.Uint64(s.near(s.last)), LogTerm: proto.Uint64(s.near(s.term)),
		Commit: proto.Uint64(s.near(s.last)),
	}
	what := s.byte()
	for i := range what % 4 {
		m.Entries = append(m.Entries, s.entry(m.GetIndex()+uint64(i)+1))
	}
	if what&4 != 0 {
		m.Reject, m.RejectHint = proto.Bool(true), proto.Uint64(s.near(s.last))
	}
	if what&8 != 0 {
		m.Context = s.text(40)
	}
	if what&16 != 0 {
		m.From = proto.Uint64(s.member())
	}
	if what&32 != 0 {
		m.To = proto.Uint64(s.member())
	}
	if what&64 != 0 {
		m.Vote = proto.Uint64(s.member())
	}
	if what&128 != 0 {
		m.Responses = []*raftpb.Message{{Type: raftpb.MsgAppResp.Enum(), Index: proto.Uint64(s.near(s.last)), From: proto.Uint64(s.member())}}
	}
	return m
}

func (s *speech) entry(index uint64) *raftpb.Entry {
	e := &raftpb.Entry{Index: proto.Uint64(s.near(index)), Term: proto.Uint64(s.near(s.term))}
	switch s.byte() % 4 {
	case 0:
		e.Data = s.envelope()
	case 1:
		e.Data = s.text(60)
	case 2:
		e.Type = raftpb.EntryConfChange.Enum()
		e.Data, _ = proto.Marshal(&raftpb.ConfChange{
			Type: raftpb.ConfChangeType(s.byte() % 5).Enum(), NodeId: proto.Uint64(s.member()), Context: s.envelope(),
		})
	case 3:
		e.Type = raftpb.EntryType(s.byte() % 4).Enum()
		e.Data = s.text(60)
	}
	return e
}

// envelope is a command as it stands in the log.
func (s *speech) envelope() []byte {
	b := append([]byte{cmp.Or(s.byte()%8, 1)}, make([]byte, 16)...)
	binary.LittleEndian.PutUint64(b[1:], s.near(0))
	binary.LittleEndian.PutUint64(b[9:], s.near(uint64(epoch.Add(s.now))))
	return append(b, s.command()...)
}

func (s *speech) command() []byte {
	c := &storepb.Command{}
	switch s.byte() % 8 {
	case 0:
		return s.text(60)
	case 1:
		c.Kind = &storepb.Command_Set{Set: &storepb.Set{Path: string(s.text(60)), Value: s.text(20), TtlNs: proto.Int64(int64(s.near(1e9)))}}
	case 2:
		c.Kind = &storepb.Command_Create{Create: &storepb.Create{Path: string(s.text(60)), Dir: s.byte()%2 == 0}}
	case 3:
		c.Kind = &storepb.Command_SetMember{SetMember: &storepb.SetMember{Member: &storepb.Member{
			Id: s.member(), Name: string(s.text(20)), PeerUrl: string(s.text(40)), ClientUrl: string(s.text(40)),
		}}}
	case 4:
		c.Kind = &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: s.member()}}
	case 5:
		c.Kind = &storepb.Command_Expire{Expire: &storepb.Expire{Path: "/key"}}
	case 6:
		c.Kind = &storepb.Command_Bootstrap{Bootstrap: &storepb.Bootstrap{Member: &storepb.Member{Id: s.member(), Name: string(s.text(20))}}}
	case 7:
		c.Kind = &storepb.Command_Configure{Configure: &storepb.Configure{}}
	}
	data, _ := proto.Marshal(c)
	return data
}

// forward returns a proposal as a member forwards it.
func (s *speech) forward() []byte {
	b := make([]byte, 41)
	low := s.near(0)
	binary.LittleEndian.PutUint64(b, low+uint64(s.byte()))
	binary.LittleEndian.PutUint64(b[8:], low)
	binary.LittleEndian.PutUint64(b[16:], 1)
	binary.LittleEndian.PutUint64(b[24:], s.near(s.term))
	b[32] = s.byte()
	binary.LittleEndian.PutUint64(b[33:], s.member())
	return append(b, s.command()...)
}

// snapshot sends what may be a valid snapshot.
func (s *speech) snapshot(inbox *actors.Inbox) {
	var conf raftpb.ConfState
	for _, member := range []uint64{s.m.memberID, liar.ID} {
		switch s.byte() % 3 {
		case 1:
			conf.Voters = append(conf.Voters, member)
		case 2:
			conf.Learners = append(conf.Learners, member)
		}
	}
	m := &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: proto.Uint64(liar.ID), To: proto.Uint64(s.m.memberID), Term: proto.Uint64(s.near(s.term)),
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			ConfState: &conf, Index: proto.Uint64(s.near(s.last)), Term: proto.Uint64(s.near(s.term)),
		}},
	}
	message, err := proto.Marshal(m)
	if err != nil {
		return
	}
	body := s.text(255)
	if s.byte()%2 == 1 {
		body = s.state()
		if n := len(body); n > 0 {
			body[int(s.byte())*n/256] ^= s.byte()
		}
	}
	from, size := s.member(), int64(len(body))
	if s.byte()%4 == 1 {
		size = int64(s.near(uint64(size)))
	}
	inbox.Offer(from, message, func(err error) {
		if err == nil {
			inbox.Snapshot(from, message, size, bytes.NewReader(body), func(error) {})
		}
	})
}

// state returns the state of the machine as a snapshot holds it.
func (s *speech) state() []byte {
	frozen, _ := s.ask(func(l *life, id uint64, replyTo *actor.PID) (*actor.PID, any) {
		return l.machine.Store, &actors.Freeze{ID: id, ReplyTo: replyTo}
	}).(*actors.Frozen)
	if frozen == nil {
		return nil
	}
	var b bytes.Buffer
	if _, err := frozen.State.WriteTo(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}
