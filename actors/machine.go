package actors

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/watch"
)

// Config is what a machine needs besides its disk.
type Config struct {
	// Member is this machine as the others know it. Its ID is taken from the disk.
	Member store.Member
	// HistoryLimit is how many events a new cluster keeps for watchers.
	HistoryLimit uint32
	// SetHistoryLimit applies HistoryLimit to an existing cluster too.
	SetHistoryLimit bool
	// Tick is the unit of Raft's time; Raft's timeouts are counted in it.
	Tick time.Duration
	Raft raftnode.Config
	// Clock is the wall time, which must not jump while the process runs.
	Clock func() store.Time
	Log   *slog.Logger
}

// Machine is a running member of the cluster.
type Machine struct {
	// System is the actor system, in which sessions live too.
	System *actor.ActorSystem
	// Raft takes Propose, Read (linearizable) and Status.
	Raft *actor.PID
	// Store takes Read (local).
	Store *actor.PID
	// Hub takes Watch and Unwatch.
	Hub *actor.PID
	// Ready is closed when everything that was committed before the start is
	// applied and the cluster knows this machine: clients may come.
	Ready <-chan struct{}

	order    []*actor.PID // of spawning
	watchers atomic.Int64
	disk     *Disk
	running  sync.WaitGroup
	kinds    []*Kind
}

// Start starts the actors of a machine. A machine whose log is empty becomes the
// only member of a new cluster.
func Start(cfg Config, disk *Disk) (*Machine, error) {
	cfg.Member.ID = disk.Identity.MemberID
	cfg.Raft.MemberID = disk.Identity.MemberID
	node, err := raftnode.New(cfg.Raft, disk.state())
	if err != nil {
		return nil, err
	}
	if disk.LastIndex() == 0 {
		if err := node.Bootstrap(bootstrapCommand(cfg)); err != nil {
			return nil, err
		}
	}

	m := &Machine{System: newSystem(cfg.Log), disk: disk}
	supervisor := fatalOnPanic(cfg.Log)
	ready := make(chan struct{})
	m.Ready = ready
	announcer := &announcerActor{member: cfg.Member, ready: ready, log: cfg.Log}
	if cfg.SetHistoryLimit {
		announcer.historyLimit = &cfg.HistoryLimit
	}
	all := &pids{}
	for _, a := range []struct {
		pid  **actor.PID
		kind string
		core actor.Actor
	}{
		{&all.wal, "wal", &walActor{log: disk.log, logger: cfg.Log}},
		{&all.snapshotter, "snapshotter", &snapshotActor{snapshots: disk.snapshots, logger: cfg.Log}},
		{&all.hub, "hub", &hubActor{hub: watch.NewHub(disk.store.History()), watchers: &m.watchers}},
		{&all.reaper, "reaper", &reaperActor{clock: cfg.Clock}},
		{&all.store, "store", &storeActor{store: disk.store, log: cfg.Log}},
		{&all.raft, "raft", &raftActor{node: node, clock: cfg.Clock, log: cfg.Log}},
		{&all.ticker, "ticker", &tickerActor{interval: cfg.Tick}},
		{&all.announcer, "announcer", announcer},
	} {
		if *a.pid, err = m.spawn(a.kind, a.core, supervisor); err != nil {
			return nil, err
		}
		m.order = append(m.order, *a.pid)
	}
	m.Raft, m.Store, m.Hub = all.raft, all.store, all.hub
	// A PID is given away only now that every mailbox is ready, and in this order: an
	// actor that starts to talk by itself comes after those it talks to.
	for _, pid := range m.order {
		m.System.Root.Send(pid, all)
	}
	return m, nil
}

// newSystem starts an actor system that logs only what is wrong.
func newSystem(log *slog.Logger) *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(atLeastWarn{log.Handler()})
	}))
}

// atLeastWarn drops the library's routine messages, among them one for every
// answer that came after its session had gone.
type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Kind makes the counters of one kind of actor. Each kind is asked for once.
func (m *Machine) Kind(name string) *Kind {
	k := &Kind{Name: name}
	m.kinds = append(m.kinds, k)
	return k
}

// Watchers is the number of watchers at this moment.
func (m *Machine) Watchers() int64 { return m.watchers.Load() }

func (m *Machine) spawn(kind string, core actor.Actor, supervisor actor.SupervisorStrategy) (*actor.PID, error) {
	m.running.Add(1)
	dispatcher := newPinned()
	stopped := func() {
		dispatcher.stop()
		m.running.Done()
	}
	props := actor.PropsFromProducer(
		func() actor.Actor { return &tracked{core, stopped} },
		actor.WithDispatcher(dispatcher),
		actor.WithMailbox(m.Kind(kind).Mailbox()),
		actor.WithGuardian(supervisor),
	)
	pid, err := m.System.Root.SpawnNamed(props, kind)
	if err != nil {
		return nil, fmt.Errorf("actors: spawn %s: %w", kind, err)
	}
	return pid, nil
}

// tracked tells when its actor has stopped.
type tracked struct {
	actor.Actor
	stopped func()
}

func (t *tracked) Receive(ctx actor.Context) {
	t.Actor.Receive(ctx)
	if _, ok := ctx.Message().(*actor.Stopped); ok {
		t.stopped()
	}
}

// CloseWatches answers every watcher with ErrClosing, now and from now on.
func (m *Machine) CloseWatches() { m.System.Root.Send(m.Hub, closeWatches{}) }

// Stop ends the machine: what was received is made durable, and the directory is
// given back. Requests that are under way may stay without an answer, so the
// front end is to be stopped first.
func (m *Machine) Stop() error {
	for _, pid := range slices.Backward(m.order) {
		m.System.Root.Stop(pid)
	}
	m.running.Wait()
	m.System.Shutdown()
	return m.disk.lock.Close()
}

func bootstrapCommand(cfg Config) []byte {
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Bootstrap{Bootstrap: &storepb.Bootstrap{
		HistoryLimit: cfg.HistoryLimit,
		Member:       memberMessage(cfg.Member),
	}}})
}
