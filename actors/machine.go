package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/endpoint"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/transport"
	"etcd/version"
	"etcd/wal"
	"etcd/watch"
	"etcd/witness"
)

// Config is what a machine needs besides its disk.
type Config struct {
	// Member is this machine as the others know it. Its ID is taken from the disk.
	Member store.Member
	// HistoryLimit is how many events a new cluster keeps for watchers.
	HistoryLimit uint32
	// Quota is how many bytes the keys of a new cluster may have, see [store.Store.Quota].
	Quota uint64
	// SetHistoryLimit applies HistoryLimit to an existing cluster too, SetMaxMembers
	// Raft.MaxMembers, and SetQuota Quota.
	SetHistoryLimit, SetMaxMembers, SetQuota bool
	// Commands are the versions of a cluster that this program understands: [store.Commands]
	// if it is zero. The simulation has older programs.
	Commands version.Range
	// MaxChildren is how many children of a directory the store actor lists itself:
	// [MaxChildren] if it is zero. The simulation has small directories.
	MaxChildren int
	// MaxWeight is how many keys the store actor looks at for one message: [MaxWeight] if it is zero. The
	// simulation has few keys.
	MaxWeight int
	// Tick is the unit of Raft's time; Raft's timeouts are counted in it.
	Tick time.Duration
	// Raft configures the core; Start sets MemberID and what has to do with commands.
	Raft raftnode.Config
	// Clock reads the clocks. It may be called from any goroutine.
	Clock func() raftnode.Reading
	// Host is what the actors run on.
	Host Host
	// Founders are the members with which a new cluster begins, in the order of their IDs: the same
	// on all of them, as far as IDs and peer URLs go; the rest is not used. If there are none, this
	// machine founds it alone. A machine that has a log does not need them.
	Founders []store.Member
	// Nonce is a random number that tells this process from others with the identity of the
	// machine.
	Nonce uint64
	// Secret is random, and no other process knows it: with it this one proves to peers that it
	// is the one that answers at the address of its member.
	Secret []byte
	// AuditEvery is how often machines compare their states; 0 for never.
	AuditEvery time.Duration
	// Seeds are the members a machine that joins was told of. They count until its own
	// state has members.
	Seeds []store.Member
	// Hints are addresses, host:port, at which other members may be if they are not at their
	// address in the state of this machine.
	Hints []string
	Log   *slog.Logger
}

// rivalPatience is for how many election timeouts peers may report another process with the
// same identity until one that has just started gives way. A connection whose process is dead is
// closed after one of them.
const rivalPatience = 5

// Machine is a running member of the cluster.
type Machine struct {
	// System is the actor system, in which sessions live too.
	System *actor.ActorSystem
	// ClusterID is that of the cluster this machine belongs to.
	ClusterID uint64
	// Raft takes Propose, Read (linearizable), Sync, Status, AskLeader, Join and Leave.
	Raft *actor.PID
	// Store takes Read (local) and Freeze. Local requests that come before it has
	// applied what the disk says is committed wait for that, so clients may come at once.
	Store *actor.PID
	// Hub takes Watch and Unwatch.
	Hub *actor.PID
	// Ready is closed when everything that was committed before the start is
	// applied and the cluster knows this machine. Before that a watch without an index
	// needs a Sync, even one for local state.
	Ready <-chan struct{}
	// Gone gets the reason when this machine must not go on. It then has to stop.
	Gone <-chan Departure
	// Receiver accepts the connections of other members.
	Receiver *transport.Receiver
	// Inbox takes what comes over them.
	Inbox *Inbox

	durable  atomic.Pointer[wal.Reach]    // of the log
	book     atomic.Pointer[witness.Book] // what is known of the other members' disks
	order    []*actor.PID                 // of spawning
	host     Host
	disk     *Disk
	time     *logTime
	local    *localState
	applied  appliedState
	running  runningKinds
	stopping context.Context // ends when the machine begins to stop
	cancel   context.CancelFunc
	metrics  *metrics

	kindsMu sync.Mutex
	kinds   []*Kind
}

// Start starts the actors of a machine. A machine whose log is empty, and that has not joined a
// cluster, founds one, alone or with Config.Founders.
func Start(cfg Config, disk *Disk) (*Machine, error) {
	cfg.Member.ID = disk.Identity.MemberID
	cfg.Raft.MemberID = disk.Identity.MemberID
	names := &names{}
	cfg.Log = slog.New(names.handler(cfg.Log.Handler()))
	cfg.Raft.Log = cfg.Log
	cfg.Raft.Describe, cfg.Raft.MaxCommand = describe, store.MaxCommand
	if cfg.Commands == (version.Range{}) {
		cfg.Commands = store.Commands
	}
	cfg.Raft.Commands = cfg.Commands
	cfg.Raft.RaiseTo = func(to, from uint32) []byte { return raiseCommand(cfg, to, from) }
	cfg.Raft.Skip = disk.skip
	most, err := disk.snapshotBytes()
	if err != nil {
		return nil, err
	}
	cfg.Raft.SnapshotBytes, cfg.Raft.MaxSnapshotBytes = min(cfg.Raft.SnapshotBytes, most), most
	node, err := raftnode.New(cfg.Raft, disk.state(), cfg.Clock())
	if err != nil {
		return nil, err
	}
	if disk.Founding() {
		if err := node.Bootstrap(founders(cfg)); err != nil {
			return nil, err
		}
	}

	local := &localState{maxChildren: cmp.Or(cfg.MaxChildren, MaxChildren), maxWeight: cmp.Or(cfg.MaxWeight, MaxWeight)}
	m := &Machine{System: newSystem(cfg.Log), ClusterID: disk.Identity.ClusterID, host: cfg.Host, disk: disk, time: &logTime{clock: cfg.Clock}, local: local, metrics: newMetrics()}
	m.metrics.raft.set(node.Status())
	reach := disk.Reach()
	m.durable.Store(&reach)
	m.metrics.disk.segments.Store(int64(disk.log.Segments()))
	m.book.Store(disk.book)
	m.applied.publish(disk.startsFrom())
	m.applied.auth.Store(disk.store.Auth())
	m.stopping, m.cancel = context.WithCancel(context.Background())
	all := &pids{}
	peers, network := m.connect(cfg, all)
	gone := make(chan Departure, 1)
	m.Gone = gone
	fatal := newFatal(cfg.Log, cfg.Host.Exit)
	supervisor := fatalOnPanic(fatal)
	ready := make(chan struct{})
	m.Ready = ready
	announcer := &announcerActor{
		member: cfg.Member, commands: cfg.Commands, ready: ready, log: cfg.Log, fatal: fatal,
		pause: cfg.Tick * time.Duration(cfg.Raft.ElectionTicks), afterFunc: cfg.Host.AfterFunc,
	}
	if cfg.SetHistoryLimit {
		announcer.historyLimit = &cfg.HistoryLimit
	}
	if cfg.SetMaxMembers {
		announcer.maxMembers = &cfg.Raft.MaxMembers
	}
	if cfg.SetQuota {
		announcer.quota = &cfg.Quota
	}
	for _, a := range []struct {
		pid  **actor.PID
		kind string
		core actor.Actor
	}{
		{&all.wal, "wal", &walActor{log: disk.log, durable: &m.durable, metrics: m.metrics, fatal: fatal}},
		{&all.segments, "segments", &segmentActor{fsys: disk.fsys, opts: disk.opts, fatal: fatal}},
		{&all.snapshotter, "snapshotter", &snapshotActor{
			snapshots: disk.snapshots, logger: cfg.Log, fatal: fatal, stopping: m.stopping, applied: disk.snapshotIndex(), metrics: m.metrics,
		}},
		{&all.receiver, "receiver", &receiverActor{snapshots: disk.snapshots, logger: cfg.Log, metrics: m.metrics, fatal: fatal}},
		{&all.witness, "witness", &witnessActor{
			identity: disk.Identity, fsys: disk.fsys, afterFunc: cfg.Host.AfterFunc,
			book: &m.book, durable: &m.durable, log: cfg.Log, fatal: fatal,
		}},
		{&all.catchUp, "catchup", &catchUpActor{}},
		{&all.hub, "hub", &hubActor{hub: watch.NewHub(disk.store.History()), metrics: m.metrics, asking: make(map[uint64]bool)}},
		{&all.auditor, "auditor", &auditorActor{
			log: cfg.Log, own: make(map[uint64]stateHash), theirs: make(map[uint64]*peerHashes),
		}},
		{&all.reaper, "reaper", &reaperActor{clock: m.time.now, afterFunc: cfg.Host.AfterFunc}},
		{&all.store, "store", &storeActor{
			store: disk.store, snapshots: disk.snapshots, early: disk.startupQueue(), audits: auditPoint{every: cfg.AuditEvery},
			shared: m.local, progress: &m.applied, logTime: m.time.now, metrics: m.metrics, log: cfg.Log, fatal: fatal,
			compaction: compaction{afterFunc: cfg.Host.AfterFunc, slice: min(freeSlice, local.maxWeight)}, // fewer in the simulation
		}},
		{&all.raft, "raft", &raftActor{
			node: node, clock: cfg.Clock, time: m.time, watch: clockWatch{log: cfg.Log}, log: cfg.Log, peers: peers, names: names, metrics: m.metrics, fatal: fatal,
			patience:    cfg.Tick * time.Duration(cfg.Raft.RequestTicks),
			probation:   witness.NewProbation(cfg.Raft.ElectionTicks, rivalPatience*cfg.Raft.ElectionTicks, disk.LastIndex() == 0),
			abandonment: newAbandonment(abandonedPatience * cfg.Raft.ElectionTicks),
			applied:     disk.snapshotIndex(), committed: disk.commit(),
			gone: func(d Departure) {
				select {
				case gone <- d:
				default: // a reason was given already
				}
			},
		}},
		{&all.finder, "finder", &finderActor{
			self: cfg.Member.ID, hints: cfg.Hints, network: network,
			pause: cfg.Tick * time.Duration(cfg.Raft.ElectionTicks), afterFunc: cfg.Host.AfterFunc, log: m.Inbox.log,
		}},
		{&all.ticker, "ticker", &tickerActor{interval: cfg.Tick, afterFunc: cfg.Host.AfterFunc}},
		{&all.announcer, "announcer", announcer},
	} {
		if *a.pid, err = m.spawn(m.Kind(a.kind), a.kind, a.core, supervisor); err != nil {
			return nil, err
		}
	}
	writing := m.Kind("writer")
	for i := range writers {
		pid, err := m.spawn(writing, fmt.Sprint("writer", i), &writerActor{metrics: m.metrics}, supervisor)
		if err != nil {
			return nil, err
		}
		all.writers = append(all.writers, pid)
	}
	m.Raft, m.Store, m.Hub = all.raft, all.store, all.hub
	// PIDs are shared only now that every mailbox is ready, and no actor sends anything
	// before all of them have the PIDs.
	for _, pid := range m.order {
		m.System.Root.Send(pid, all)
	}
	for _, pid := range m.order {
		m.System.Root.Send(pid, begin{})
	}
	if len(cfg.Seeds) > 0 && len(disk.store.Members()) == 0 {
		m.System.Root.Send(m.Raft, &membership{members: cfg.Seeds})
	}
	disk.store = nil // the store actor has it, and drops it when a snapshot replaces it
	return m, nil
}

// connect prepares the connections with other members.
func (m *Machine) connect(cfg Config, to *pids) (*peers, Network) {
	log := slog.New(transport.BoundedLog(cfg.Log.Handler(), func() time.Duration { return time.Duration(cfg.Clock().Mono) }))
	self := transport.Config{
		ClusterID:       m.disk.Identity.ClusterID,
		FormerClusterID: m.disk.Identity.FormerClusterID,
		MemberID:        m.disk.Identity.MemberID,
		Addr:            peerAddr(cfg.Member),
		Heartbeat:       cfg.Tick * time.Duration(cfg.Raft.HeartbeatTicks),
		Dead:            cfg.Tick * time.Duration(cfg.Raft.ElectionTicks),
		Nonce:           cfg.Nonce,
		Secret:          cfg.Secret,
		Commands:        cfg.Commands,
		Snapshots:       store.Snapshots,
		Reach:           func() string { return witness.EncodeReach(*m.durable.Load()) },
		Log:             log,
	}
	m.Inbox = &Inbox{self: cfg.Member, nonce: cfg.Nonce, root: m.System.Root, to: to, log: log, book: &m.book}
	if members := m.disk.store.Members(); len(members) > 0 {
		m.Inbox.members.Store(&members)
	}
	m.Inbox.setAddressBook(&addressBook{}, nil) // until the store actor has sent the members
	network := cfg.Host.Connect(self)
	m.Receiver = transport.NewReceiver(self, m.Inbox.Admit, ask(network), m.Inbox.Deliver)
	supervisor := StopOnPanic(cfg.Log)
	kind := m.Kind("peer")
	ps := &peers{
		self:   m.disk.Identity.MemberID,
		inbox:  m.Inbox,
		drop:   m.Receiver.Drop,
		actors: make(map[uint64]*peer),
		spawn: func(member uint64, addr string) *actor.PID {
			core := &peerActor{
				member: member, addr: addr, network: network, links: &m.metrics.links,
				snapshots: m.disk.snapshots, raft: to.raft, inbox: m.Inbox,
				pause: cfg.Tick * time.Duration(cfg.Raft.ElectionTicks), afterFunc: cfg.Host.AfterFunc, log: cfg.Log,
			}
			m.running.add("peer")
			pid := m.System.Root.Spawn(actor.PropsFromProducer(
				func() actor.Actor { return &tracked{core, func() { m.running.done("peer") }} },
				actor.WithMailbox(kind.Mailbox()),
				actor.WithGuardian(supervisor),
			))
			return pid
		},
	}
	return ps, network
}

// newSystem starts an actor system that logs only what is wrong.
func newSystem(log *slog.Logger) *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(atLeastWarn{log.Handler()})
	}))
}

// atLeastWarn drops the library's routine messages, among them one for every
// answer that came after its session had ended.
type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Kind makes the counters of one kind of actor. Call it once for each kind.
func (m *Machine) Kind(name string) *Kind { return m.addKind(newKind(name, m.host.Mailbox(name))) }

// UntimedKind is Kind for actors whose work is less than reading the clock twice: how long they
// take is not counted.
func (m *Machine) UntimedKind(name string) *Kind {
	k := newKind(name, m.host.Mailbox(name))
	k.handling = nil
	return m.addKind(k)
}

func (m *Machine) addKind(k *Kind) *Kind {
	m.kindsMu.Lock()
	defer m.kindsMu.Unlock()
	m.kinds = append(m.kinds, k)
	return k
}

// IsReady reports whether Ready is closed.
func (m *Machine) IsReady() bool {
	select {
	case <-m.Ready:
		return true
	default:
		return false
	}
}

// ReadLocal reads a key from local state, on the goroutine of its caller. ok is false if
// the store actor has to be asked.
func (m *Machine) ReadLocal(what *Read) (reply *ReadReply, ok bool) {
	view := m.local.view.Load()
	if view == nil {
		return nil, false
	}
	return m.local.read(view, what, func() *store.View { return view }), true
}

// LogTime is the time of the log, as far as this machine knows it: deadlines are moments
// in it. It may be called from any goroutine.
func (m *Machine) LogTime() logtime.Time { return m.time.now() }

// Watchers is the number of watchers at this moment.
func (m *Machine) Watchers() int64 { return int64(m.metrics.hub.get().Watches) }

func (m *Machine) spawn(kind *Kind, name string, core actor.Actor, supervisor actor.SupervisorStrategy) (*actor.PID, error) {
	m.running.add(kind.Name)
	dispatcher, stop := m.host.Dispatcher()
	stopped := func() {
		stop()
		m.running.done(kind.Name)
	}
	props := actor.PropsFromProducer(
		func() actor.Actor { return &tracked{core, stopped} },
		actor.WithDispatcher(dispatcher),
		actor.WithMailbox(kind.Mailbox()),
		actor.WithGuardian(supervisor),
	)
	pid, err := m.System.Root.SpawnNamed(props, name)
	if err != nil {
		return nil, fmt.Errorf("actors: spawn %s: %w", name, err)
	}
	m.order = append(m.order, pid)
	return pid, nil
}

// OfferSnapshot is Inbox.Offer, and waits for the answer.
func (m *Machine) OfferSnapshot(from uint64, message []byte) error {
	return m.await(func(done func(error)) { m.Inbox.Offer(from, message, done) })
}

// ReceiveSnapshot is Inbox.Snapshot, and waits until it is done.
func (m *Machine) ReceiveSnapshot(from uint64, message []byte, size int64, body io.Reader) error {
	return m.await(func(done func(error)) { m.Inbox.Snapshot(from, message, size, body, done) })
}

// await calls begin and waits for done, or for the machine to stop.
func (m *Machine) await(begin func(done func(error))) error {
	done := make(chan error, 1)
	begin(func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-m.stopping.Done():
		return errStopping
	}
}

// HandOver transfers the leadership to another member, if this machine leads and there is
// one, and waits for that until ctx ends.
func (m *Machine) HandOver(ctx context.Context) {
	done := make(chan struct{})
	m.System.Root.Send(m.Raft, &handOver{done: done})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// CloseWatches answers every watcher with ErrClosing, now and from now on.
func (m *Machine) CloseWatches() { m.System.Root.Send(m.Hub, closeWatches{}) }

// Disconnect closes the streams from other machines, and abandons a snapshot under way, which
// is not needed. It is the first part of Stop.
func (m *Machine) Disconnect() {
	m.cancel()
	m.Receiver.Close()
}

// Stop stops the machine: what was received is made durable, and the directory is
// released. Requests in flight may stay without an answer, so stop the front end
// first. If ctx ends before that, as it does with a disk that hangs, the error names the
// actors that are still at work; the process has to end then. What was acked is durable in
// any case.
func (m *Machine) Stop(ctx context.Context) error {
	m.Disconnect()
	for _, pid := range slices.Backward(m.order) {
		m.System.Root.Stop(pid)
	}
	if left := m.running.wait(ctx); len(left) > 0 {
		return fmt.Errorf("still at work, and cut off: %s. Nothing that was acknowledged is lost. "+
			"Look at the disk (slow? stuck?), then start it again", strings.Join(left, ", "))
	}
	m.System.Shutdown()
	return m.disk.unlock()
}

// describe tells the consensus core what the command of a conf change does to a member.
func describe(kind raftnode.ProposalKind, command []byte) (raftnode.Member, version.Range, error) {
	m, err := store.DecodeMember(command)
	switch {
	case err != nil:
	case m.Removes != (kind == raftnode.KindRemove):
		err = errors.New("actors: the command is not that of its conf change")
	case !m.Removes && m.Name == "" && m.ClientURL == "": // it was not started yet
		err = endpoint.CheckURL(m.PeerURL)
	case !m.Removes:
		err = endpoint.CheckMember(m.Name, m.PeerURL, m.ClientURL)
	}
	return raftnode.Member(m.Member), m.Commands, err
}
