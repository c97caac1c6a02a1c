package actors

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
)

// The leader decides by what describe returns: whichever machine a conf change comes from, no
// member gets an invalid name or address.
func TestInvalidMembersAreRefused(t *testing.T) {
	const good = "http://127.0.0.1:7001"
	command := func(name, peers, clients string) []byte {
		return store.Encode(&storepb.Command{Kind: &storepb.Command_SetMember{SetMember: &storepb.SetMember{
			Member: &storepb.Member{Id: 7, Name: name, PeerUrl: peers, ClientUrl: clients},
		}}})
	}
	for _, fine := range [][]byte{command("n", good, good), command("", good, "")} {
		if m, _, err := describe(raftnode.KindAdd, fine); err != nil || m.ID != 7 {
			t.Errorf("%+v, %v", m, err)
		}
	}
	for _, bad := range [][]byte{
		command("a,b", good, good), command("n", "http://a:1\r\nX: y", good), command("n", good, "http://a:1,b:2"), command("n", good, ""), command("", good, good), command("", "", ""),
	} {
		if m, _, err := describe(raftnode.KindAdd, bad); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
}

// A member that an earlier version has accepted stays one, but an address that could end a
// header line is not dialled; that is logged once, without the text of the member.
func TestInvalidMembersAreNotDialled(t *testing.T) {
	system := newSystem(slog.New(slog.DiscardHandler))
	defer system.Shutdown()
	var out bytes.Buffer
	finder := newProbe(t, system)
	dialled := map[uint64]string{}
	ps := &peers{self: 1, actors: map[uint64]*peer{}, inbox: &Inbox{
		log: slog.New(slog.NewTextHandler(&out, nil)), to: &pids{finder: finder.pid},
	}, spawn: func(member uint64, addr string) *actor.PID {
		dialled[member] = addr
		return finder.pid
	}}
	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			defer close(done)
			for range 2 {
				ps.set(ctx, &membership{members: []store.Member{
					{ID: 1, Name: "own,"},
					{ID: 2, Name: "a", PeerURL: "http://a:7001", ClientURL: "http://a:4001"},
					{ID: 3, Name: "b", PeerURL: "http://[fe80::1%x\r\nX-Evil: y]:7001", ClientURL: "http://b:4001"},
					{ID: 4, Name: "evil,", PeerURL: "http://c:7001", ClientURL: "http://c:4001"},
				}})
			}
			for _, id := range []uint64{3, 9} {
				if m := ps.advisor(id); !strings.Contains(m.PeerURL, "<") {
					t.Errorf("operators are told %+v", m)
				}
			}
		}
	}))
	<-done
	if len(dialled) != 2 || dialled[2] != "a:7001" || dialled[4] != "c:7001" {
		t.Errorf("dialled are %v", dialled)
	}
	log := out.String()
	if strings.Count(log, "\n") != 2 || !strings.Contains(log, MemberID(3)) || !strings.Contains(log, MemberID(4)) || strings.Contains(log, "vil") {
		t.Errorf("logged:\n%s", log)
	}
}
