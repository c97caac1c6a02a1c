package actors

import (
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/store/tree"
	"etcd/watch"
)

// inflight is how many requests the benchmarks keep in flight.
const inflight = 64

// pump keeps requests in flight until b.N were answered.
func pump(b *testing.B, m *testMachine, request func(replyTo *actor.PID)) {
	done := make(chan struct{})
	sent, answered := 0, 0
	pid := m.root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *Proposed, *ReadReply:
			answered++
		case string:
			for sent < min(inflight, b.N) {
				sent++
				request(ctx.Self())
			}
			return
		default:
			return
		}
		if sent < b.N {
			sent++
			request(ctx.Self())
		}
		if answered == b.N {
			close(done)
		}
	}))
	b.ReportAllocs()
	b.ResetTimer()
	m.root.Send(pid, "go")
	<-done
	b.StopTimer()
	m.root.Stop(pid)
}

func BenchmarkWrite(b *testing.B) {
	m := start(b, b.TempDir())
	command := set("/bench/key", "0123456789abcdef", 0)
	pump(b, m, func(pid *actor.PID) { m.root.Send(m.Raft, &Propose{ReplyTo: pid, Command: command}) })
}

func BenchmarkRead(b *testing.B) {
	for _, local := range []bool{false, true} {
		name := "linearizable"
		if local {
			name = "local"
		}
		b.Run(name, func(b *testing.B) {
			m := start(b, b.TempDir())
			m.set("/bench/key", "0123456789abcdef")
			to := m.Raft
			if local {
				to = m.Store
			}
			pump(b, m, func(pid *actor.PID) { m.root.Send(to, &Read{ReplyTo: pid, Path: "/bench/key"}) })
		})
	}
}

// BenchmarkDelivery measures one event for one of many watchers, including its share of the
// write: an operation is a delivery, and a write makes 1000 of them.
func BenchmarkDelivery(b *testing.B) {
	m := start(b, b.TempDir())
	const fan = 1000
	left := make(chan struct{}, 1)
	seen := 0
	pid := m.root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if w, ok := ctx.Message().(*WatchReply); ok {
			ctx.Send(m.Hub, &Written{Subscriber: w.ID})
			if seen++; seen%fan == 0 {
				left <- struct{}{}
			}
		}
	}))
	for i := range fan {
		m.root.Send(m.Hub, &Watch{ReplyTo: pid, Subscriber: uint64(i + 1), Watcher: watch.Watcher{Path: "/bench", Recursive: true, Stream: true}})
	}
	command := set("/bench/key", "0123456789abcdef", 0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += fan {
		m.root.Send(m.Raft, &Propose{Command: command})
		<-left
	}
}

// BenchmarkOneShots measures one event that ends n watches of one key, from the moment at
// which the hub has it until the last session has its answer. Sessions are as cheap as those
// of connections: they run on the sender's goroutine.
func BenchmarkOneShots(b *testing.B) {
	const n = 50_000
	m := start(b, b.TempDir())
	kind := m.UntimedKind("session")
	mailbox := kind.Inline()
	var left atomic.Int64
	all := make(chan struct{})
	sessions := make([]*actor.PID, n)
	for i := range sessions {
		sessions[i] = m.root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*WatchReply); ok && left.Add(-1) == 0 {
				all <- struct{}{}
			}
		}, actor.WithMailbox(mailbox)))
	}
	subscriber, index := uint64(0), uint64(1<<40)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		left.Store(n)
		for _, pid := range sessions {
			subscriber++
			m.root.Send(m.Hub, &Watch{ReplyTo: pid, Subscriber: subscriber, Watcher: watch.Watcher{Path: "/bench"}})
		}
		m.eventually("all watch", func() bool { return m.Watchers() == n })
		index++
		b.StartTimer()
		m.root.Send(m.Hub, &published{events: []*tree.Event{{Index: index, Node: &tree.Node{Path: "/bench"}}}})
		<-all
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/watcher")
}

// BenchmarkBehindProposals measures how long a message to the raft actor, such as a tick or a heartbeat,
// waits behind as many proposals as clients may have in flight at once.
func BenchmarkBehindProposals(b *testing.B) {
	const n = 10_000
	m := start(b, b.TempDir())
	command := set("/bench/key", "0123456789abcdef", 0)
	p := newProbe(b, m.System)
	for b.Loop() {
		b.StopTimer()
		m.sync()
		for range n {
			m.root.Send(m.Raft, &Propose{Command: command})
		}
		b.StartTimer()
		m.root.Send(m.Raft, &AskLeader{ReplyTo: p.pid})
		next[*LeaderReply](p)
	}
}
