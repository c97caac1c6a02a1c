package actors

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store"
	"etcd/transport"
	"etcd/version"
	"etcd/wal"
	"etcd/witness"
)

// TestVersionsCountOnceTrusted: what a member understands that has moved, and connects from an
// unknown address, counts when the cluster knows the address, without another handshake.
func TestVersionsCountOnceTrusted(t *testing.T) {
	system := actor.NewActorSystem()
	defer system.Shutdown()
	told := make(chan *understood, 10)
	raft := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*understood); ok {
			told <- m
		}
	}))
	m := start(t, t.TempDir())
	in := &Inbox{self: testMember, root: system.Root, to: &pids{raft: raft, witness: raft}, log: m.Inbox.log, book: m.Inbox.book}
	in.setAddressBook(&addressBook{places: map[uint64]memberAddrs{22: {stated: at22}}}, []uint64{22})
	next := func(what string, want version.Range) {
		t.Helper()
		select {
		case got := <-told:
			if got.member != 22 || got.commands != want {
				t.Errorf("%s: %+v, want %v", what, got, want)
			}
		case <-time.After(patience):
			t.Fatalf("%s: the raft actor is not told", what)
		}
	}
	h := transport.Hello{Understood: Understood(), From: 22, Nonce: 9, Addr: moved22, Reach: witness.EncodeReach(wal.Reach{})}
	if status, message := in.Meet(h); status != 0 {
		t.Fatalf("%d %s", status, message)
	}
	next("from where nobody expects it", version.Range{})
	in.setAddressBook(&addressBook{places: map[uint64]memberAddrs{22: {stated: moved22}}}, []uint64{22})
	next("the cluster knows where it is", store.Commands)
	in.setAddressBook(&addressBook{places: map[uint64]memberAddrs{22: {stated: moved22}}}, []uint64{22})
	if len(told) > 0 {
		t.Errorf("told again: %+v", <-told)
	}
}
