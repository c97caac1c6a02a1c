package actors

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/transport"
)

// A frame has room for the longest command with all that wraps it on its way: when it is
// forwarded, in an entry, and in the message that replicates the entry to the followers.
const _ uint = transport.MaxFrame/2 + 2<<20 - store.MaxCommand

// forwardFrame is a proposal as another machine forwards it.
func forwardFrame(id, term uint64, kind raftnode.ProposalKind, member uint64, command []byte) transport.Frame {
	b := binary.LittleEndian.AppendUint64(nil, id)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, 1) // process
	b = binary.LittleEndian.AppendUint64(b, term)
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint64(b, member)
	return transport.Frame{Kind: transport.KindForward, Payload: append(b, command...)}
}

// Invalid proposals that strangers and members forward change nothing, and the machine goes on
// serving and restarts.
func TestForwardedProposals(t *testing.T) {
	const stranger, peer = 99, 5
	dir := t.TempDir()
	members := func(c *Config) {
		c.Raft.MaxMembers = 9
		c.Host = Process(func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody is there") })
	}
	m := start(t, dir, members)
	self := m.status().Raft
	m.root.Send(m.Raft, &Join{ReplyTo: m.pid, ID: 1, Member: store.Member{
		ID: peer, Name: "peer", PeerURL: "http://127.0.0.1:1", ClientURL: "http://127.0.0.1:2",
	}})
	if joined := next[*Proposed](m.probe); joined.Err != nil {
		t.Fatal(joined.Err)
	}
	raw := func(c *storepb.Command) []byte {
		data, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	removal := raw(&storepb.Command{Kind: &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: peer}}})
	evil := raw(&storepb.Command{Kind: &storepb.Command_SetMember{SetMember: &storepb.SetMember{
		Member: &storepb.Member{Id: peer, Name: "evil", PeerUrl: "http://evil:1", ClientUrl: "http://evil:2"},
	}}})
	id := uint64(0)
	for _, c := range []struct {
		name    string
		from    uint64
		kind    raftnode.ProposalKind
		command []byte
	}{
		{"a removal by a stranger", stranger, raftnode.KindRemove, removal},
		{"a write of a stranger", stranger, raftnode.KindCommand, set("/evil", "1", 0)},
		{"garbage", peer, raftnode.KindCommand, []byte("garbage")},
		{"garbage about a member", peer, raftnode.KindAdd, []byte("garbage")},
		{"nothing", peer, raftnode.KindCommand, nil},
		{"a removal as a write", peer, raftnode.KindCommand, removal},
		{"a member as a write", peer, raftnode.KindCommand, evil},
		{"a member as a removal", peer, raftnode.KindRemove, evil},
		{"a key of etcd", peer, raftnode.KindCommand, raw(&storepb.Command{Kind: &storepb.Command_Set{
			Set: &storepb.Set{Path: "/_etcd/machines/evil", Value: []byte("raft=http://evil")},
		}})},
		{"more than fits into a frame", peer, raftnode.KindCommand, raw(&storepb.Command{Kind: &storepb.Command_Set{
			Set: &storepb.Set{Path: "/evil", Value: []byte(strings.Repeat("v", transport.MaxFrame-4096))},
		}})},
	} {
		before := m.set("/a", "1")
		id++
		m.Inbox.Deliver(c.from, forwardFrame(id, self.Term, c.kind, peer, c.command))
		// If it was proposed, its entry would come before the next write.
		if after := m.set("/a", "2"); after != before+1 || len(m.status().Members) != 2 {
			t.Errorf("%s: the next entry is %d after %d, and the members are %v", c.name, after, before, m.status().Members)
		}
	}
	// A valid write of a member is accepted.
	before := m.set("/a", "1")
	m.Inbox.Deliver(peer, forwardFrame(id+1, self.Term, raftnode.KindCommand, 0, set("/b", "1", 0)))
	if after := m.set("/a", "2"); after != before+2 {
		t.Errorf("a member's write is not proposed: the next entry is %d after %d", after, before)
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, members).set("/a", "2")
}
