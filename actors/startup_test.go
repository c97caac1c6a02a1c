package actors

import (
	"errors"
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/wal"
)

// giveOthers ends the log of a machine that was alone with the conf change that made another
// one a voter: after a restart it has no majority.
func giveOthers(t *testing.T, dir string) (commit uint64) {
	t.Helper()
	log, found, err := wal.Open(dirFS(t, dir), wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	last := found.Snapshot.GetIndex()
	if n := len(found.Entries); n > 0 {
		last = found.Entries[n-1].GetIndex()
	}
	change, err := proto.Marshal(&raftpb.ConfChange{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(12))})
	if err != nil {
		t.Fatal(err)
	}
	term := found.HardState.GetTerm()
	log.Append(&raftpb.HardState{Term: &term, Vote: new(testIdentity.MemberID), Commit: new(last + 1)}, []*raftpb.Entry{
		{Term: &term, Index: new(last + 1), Type: raftpb.EntryConfChange.Enum(), Data: change},
	}, nil)
	if err := errors.Join(log.Sync(), log.Close()); err != nil {
		t.Fatal(err)
	}
	return last + 1
}

// A machine without a majority answers local reads from all that its disk says is committed,
// however early they come.
func TestLocalStateWithoutMajority(t *testing.T) {
	for _, snapshots := range []uint64{0, 7} {
		t.Run(fmt.Sprintf("snapshot every %d", snapshots), func(t *testing.T) {
			dir := t.TempDir()
			m := start(t, dir, func(c *Config) { c.Raft.SnapshotEntries = snapshots })
			var last uint64
			for i := range 300 {
				last = m.set(fmt.Sprintf("/k/%d", i%50), fmt.Sprint(i))
			}
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			commit := giveOthers(t, dir)

			disk, err := OpenDisk(dirFS(t, dir), wal.Options{SegmentSize: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			cfg := testConfig()
			cfg.Raft.RequestTicks = 5
			machine, err := Start(cfg, disk)
			if err != nil {
				t.Fatal(errors.Join(err, disk.Close()))
			}
			m = &testMachine{Machine: machine, probe: newProbe(t, machine.System)}
			t.Cleanup(func() {
				if err := m.stop(); err != nil {
					t.Errorf("stop: %v", err)
				}
			})
			if r := m.read(m.Store, "/k/49"); r.Err != nil || r.Node == nil || r.Node.Value != "299" || r.Index != last {
				t.Errorf("the first read answers %+v, want 299 at index %d", r, last)
			}
			if s := m.status(); s.Err != nil || len(s.Members) != 1 || s.Members[0] != testMember || s.Raft.Commit != commit {
				t.Errorf("the first status is %+v, want this machine as a member and commit index %d", s, commit)
			}
			m.root.Send(m.Raft, &AskLeader{ID: 5, ReplyTo: m.pid})
			if l := next[*LeaderReply](m.probe); l.ID != 5 || l.Leader != 0 {
				t.Errorf("%+v, want no leader", l)
			}
			m.root.Send(m.Raft, &Sync{ID: 6, ReplyTo: m.pid})
			if s := next[*Synced](m.probe); !errors.Is(s.Err, raftnode.ErrNoLeader) {
				t.Errorf("a linearizable request ends in %v", s.Err)
			}
			if m.IsReady() {
				t.Error("a machine without a majority is ready")
			}
		})
	}
}

// A machine that founds a cluster answers local requests once it is a member, however early
// they come.
func TestLocalStateOfNewMachine(t *testing.T) {
	disk, err := openTestDisk(dirFS(t, t.TempDir()), wal.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := Start(testConfig(), disk)
	if err != nil {
		t.Fatal(errors.Join(err, disk.Close()))
	}
	m := &testMachine{Machine: machine, probe: newProbe(t, machine.System)}
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if s := m.status(); len(s.Members) != 1 || s.Members[0] != testMember {
		t.Errorf("members %+v", s.Members)
	}
}

// senders is an actor.Context that only sends.
type senders struct {
	actor.Context
	sent []any
}

func (s *senders) Send(_ *actor.PID, message any) { s.sent = append(s.sent, message) }

// However long a machine waits for the state of its cluster, and however many requests come
// meanwhile, those that wait are bounded, and the oldest is refused.
func TestEarlyRequestsAreBounded(t *testing.T) {
	e, ctx := startupQueue{}, &senders{}
	for i := range uint64(maxStartupRequests) {
		if !e.enqueue(ctx, &Read{ID: i, ReplyTo: &actor.PID{}}) {
			t.Fatal("a request was not held")
		}
	}
	e.enqueue(ctx, &status{request: &Status{ID: maxStartupRequests}})
	if len(ctx.sent) != 1 {
		t.Fatalf("%d requests were refused beyond the bound, want 1", len(ctx.sent))
	}
	if r, ok := ctx.sent[0].(*ReadReply); !ok || r.ID != 0 || !errors.Is(r.Err, raftnode.ErrNoLeader) {
		t.Errorf("the oldest is answered with %+v", ctx.sent[0])
	}
	if waiting := e.drain(); len(waiting) != maxStartupRequests {
		t.Errorf("%d wait, want %d", len(waiting), maxStartupRequests)
	}
	if e.enqueue(ctx, &Read{}) {
		t.Error("a request is held after the end")
	}
}
