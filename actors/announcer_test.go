package actors

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
)

// A machine that was started with the name or an address of another member stops and says
// why, instead of retrying for ever; its name and addresses are a conf change, decided where
// joins and removals are, not a command of its own.
func TestTakenNameOrAddressIsFatal(t *testing.T) {
	for _, what := range []error{raftnode.ErrNameTaken, raftnode.ErrPeerURLTaken} {
		system := newSystem(slog.New(slog.DiscardHandler))
		raft := newProbe(t, system)
		ended, ready := make(chan string, 1), make(chan struct{})
		announcer := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &announcerActor{member: testMember, ready: ready, log: slog.New(slog.DiscardHandler), fatal: func(message string, attrs ...any) {
				ended <- fmt.Sprint(message, attrs)
			}}
		}))
		system.Root.Send(announcer, &pids{raft: raft.pid})
		system.Root.Send(announcer, begin{})
		next[*Sync](raft)
		system.Root.Send(announcer, &Synced{})
		next[*Status](raft)
		system.Root.Send(announcer, &StatusReply{})
		if join := next[*Join](raft); join.Member != testMember {
			t.Errorf("it asks to be %+v", join.Member)
		}
		system.Root.Send(announcer, &Proposed{Err: &raftnode.TakenError{By: 0xabc, Err: what}})
		if message := <-ended; !strings.Contains(message, what.Error()) || !strings.Contains(message, "0000000000000abc") {
			t.Errorf("the fatal message is %q", message)
		}
		select {
		case <-ready:
			t.Error("it is ready for clients")
		default:
		}
		if err := system.Root.StopFuture(announcer).Wait(); err != nil {
			t.Error(err)
		}
		system.Shutdown()
	}
}
