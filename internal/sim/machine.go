package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"etcd/actors"
	"etcd/raftnode"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/transport"
	"etcd/wal"
	"etcd/wal/crashfs"
)

// The times of every machine.
const (
	heartbeat     = 100 * time.Millisecond
	electionTicks = 10
	election      = electionTicks * heartbeat
	requestTicks  = 50
	auditEvery    = 7 * time.Second
)

// epoch is the wall time at which every run starts.
const epoch = logtime.Time(1_800_000_000_000_000_000)

// machine is an address and a disk, on which processes (lives) come and go.
type machine struct {
	sim  *Sim
	slot int
	name string
	disk *crashfs.Disk // as the last life left it; a running life has its own reference
	life *life         // nil: down

	memberID uint64 // of the last life that had an identity
	// lastIndex is the index of the last entry or snapshot appended to its log.
	lastIndex uint64
	founder   bool // its member ID is that of a founder
	member    bool // it has asked to join, or is a founder, and its removal is not done
	served    bool // it has served clients under its present member ID
	leaving   bool // its removal for good is in flight
	removed   bool // its removal is done
	damaged   bool // it refuses to start from its disk, or its peers refuse it: it has to be replaced
	restored  bool // its disk is an older copy of its own
	wantDown  int  // how many faults keep it down

	older    bool          // its next process runs the older program
	moves    int           // how often it got another address
	hint     *machine      // where it is told to look for its peers; nil: no hint
	returned bool          // it was started again after its removal
	tickRate float64       // by what fraction its timers take longer than they should
	skew     time.Duration // of its wall clock
	disks    diskFaults
}

func (m *machine) String() string { return m.name }

func (m *machine) addr() string { return fmt.Sprintf("%s:%d", m.name, 7001+m.moves) }

func (m *machine) asMember() store.Member {
	return store.Member{
		ID: m.memberID, Name: m.name,
		PeerURL: "http://" + m.addr(), ClientURL: "http://" + m.name + ":4001",
	}
}

// life is a process on a machine, from its start to its end.
type life struct {
	sim     *Sim
	s       *scheduler
	m       *machine
	number  int
	disk    *crashfs.Disk
	dead    bool
	paused  bool
	held    []*task // runnable but for the pause
	tasks   []*task
	started time.Duration

	self    transport.Config // what it sends in handshakes
	machine *actors.Machine  // nil until it has started
	session *session

	snapshotIndex uint64        // of the latest snapshot that it started from or installed
	baseIndex     uint64        // of the snapshot with which it started
	known         uint64        // commit index on its disk when it started; 0: none
	position      int           // entries of the oracle that it has applied, or skipped by a snapshot
	leads         bool          // it believes that it leads
	older         bool          // it runs the older program
	impersonated  bool          // a stranger has used its identity
	unconvinced   bool          // it was refused by an unconfirmed peer, and goes on
	stalled       time.Duration // until when a slow disk or a pause has stalled it
}

func (l *life) String() string { return l.m.name }

func (l *life) newTask(name string, step func() bool) *task {
	t := l.s.newTask(l, fmt.Sprintf("%s#%d/%s", l.m.name, l.number, name), step)
	l.tasks = append(l.tasks, t)
	return t
}

// answers reports whether the machine answers clients, if only in part.
func (l *life) answers() bool { return l.session != nil && !l.dead }

// ready reports whether the machine says that it is ready to serve clients.
func (l *life) ready() bool { return l.answers() && l.machine.IsReady() }

// start starts a process on the machine. establish gives an empty disk its identity.
func (m *machine) start(establish func(l *life, disk *actors.Disk) ([]store.Member, error)) *life {
	sim := m.sim
	sim.lives++
	l := &life{
		sim: sim, s: sim.scheduler, m: m, number: sim.lives, disk: m.disk, started: sim.now, older: m.older,
	}
	m.life = l
	sim.judge.starts(l)
	m.disk.Inject = l.operate
	boot := l.newTask("boot", func() bool {
		l.boot(establish)
		return false
	})
	sim.scheduler.trace.step(sim.now, boot.name, "starts")
	sim.scheduler.ready(boot)
	return l
}

func (l *life) boot(establish func(l *life, disk *actors.Disk) ([]store.Member, error)) {
	defer func() {
		if reason := recover(); reason != nil {
			l.sim.fail("%s panics during its start: %v", l, reason)
			l.exit()
		}
	}()
	disk, err := actors.OpenDisk(l.disk, wal.Options{SegmentSize: l.sim.shape.segment, Keep: l.sim.shape.memory})
	if err != nil {
		l.refuse(err)
		return
	}
	if l.older && disk.Version() > olderCommands.Max {
		l.endOutdated("its disk")
		return
	}
	var seeds []store.Member
	if disk.New || disk.Joining() {
		seeds, err = establish(l, disk)
	}
	if err == nil {
		l.recovered(disk)
		l.machine, err = actors.Start(l.config(disk, seeds), disk)
	}
	if err != nil {
		l.refuse(err)
		return
	}
	l.session = newSession(l)
	l.m.disks.flipped = nil
}

// recovered records what was found on the disk.
func (l *life) recovered(disk *actors.Disk) {
	l.m.memberID, l.m.lastIndex = disk.Identity.MemberID, disk.LastIndex()
	found := disk.Found
	if found == nil {
		return
	}
	l.known = found.HardState.GetCommit()
	l.sim.checkFlip(l, disk)
	if m := l.m; !m.restored && !m.disks.doubtful && !m.leaving && len(m.disks.flipped) == 0 {
		l.sim.judge.remembers(m, found.HardState)
	}
	if found.Torn != nil {
		l.sim.count("torn tail truncated")
	}
	if len(found.BadSnapshots) > 0 {
		l.sim.count("damaged snapshot passed over")
	}
	if index := found.Snapshot.GetIndex(); index > 0 {
		l.baseIndex, l.snapshotIndex = index, index
		l.sim.count("start from a snapshot")
	}
}

// refuse ends a process that cannot start.
func (l *life) refuse(err error) {
	switch {
	case l.m.disks.hasFailed(l):
		l.sim.count("start refused: disk fails")
	case len(l.m.disks.flipped) > 0 && isDamage(err):
		l.sim.count("start refused: damage found")
		l.m.damaged = true
	case errors.Is(err, errRemovedMeanwhile):
	default:
		l.sim.fail("%s refuses to start: %v", l, err)
	}
	l.sim.scheduler.trace.step(l.sim.now, l.m.name, "refuses")
	l.exit()
}

func isDamage(err error) bool {
	return errors.As(err, new(*wal.CorruptError)) || errors.Is(err, wal.ErrIncomplete) || errors.Is(err, wal.ErrForeign) ||
		errors.Is(err, wal.ErrVersion)
}

func (l *life) config(disk *actors.Disk, seeds []store.Member) actors.Config {
	log := slog.New(&logHandler{life: l})
	shape := l.sim.shape
	var hints []string
	if l.m.hint != nil {
		hints = []string{l.m.hint.addr()}
	}
	nonce := l.sim.identity.Uint64()
	return actors.Config{
		Member:       l.m.asMember(),
		HistoryLimit: l.m.history(),
		Quota:        store.MinQuota,
		Founders:     l.m.founders(),
		Commands:     l.m.commands(),
		MaxChildren:  shape.children,
		MaxWeight:    shape.weight,
		Tick:         heartbeat,
		Clock:        l.clock,
		Host:         l.host(),
		AuditEvery:   auditEvery,
		Nonce:        nonce,
		Secret:       binary.LittleEndian.AppendUint64(nil, nonce),
		Seeds:        seeds,
		Hints:        hints,
		Log:          log,
		Raft: raftnode.Config{
			HeartbeatTicks: 1, ElectionTicks: electionTicks, RequestTicks: requestTicks,
			MaxMembers: maxMembers, SnapshotEntries: shape.snapshotEntries, SnapshotBytes: 64 << 20,
			MaxSinceSnapshot: shape.sinceSnapshot, MaxInMemory: shape.memory, FirstProposalID: l.sim.identity.Uint64() >> 1, Log: log,
		},
	}
}

// clock reads the clocks of the machine. The monotonic one begins at the start of the process.
func (l *life) clock() raftnode.Reading {
	return raftnode.Reading{Mono: uint64(l.sim.now - l.started), Wall: uint64(epoch.Add(l.sim.now + l.m.skew))}
}

func (l *life) host() actors.Host {
	return actors.Host{
		Mailbox: func(kind string) actor.MailboxProducer {
			return func() actor.Mailbox { return l.newMailbox(kind) }
		},
		Dispatcher: func() (actor.Dispatcher, func()) {
			return actor.NewSynchronizedDispatcher(1), func() {} // ignored by the mailbox
		},
		AfterFunc: func(d time.Duration, f func()) actors.Timer {
			t := &lifeTimer{life: l, f: f}
			t.Reset(d)
			return t
		},
		Connect: func(self transport.Config) actors.Network {
			l.self = self
			return &network{life: l, self: self}
		},
		Exit: func(int) {
			l.exit()
			runtime.Goexit()
		},
	}
}

// lifeTimer is a timer of a machine, at the rate of its own clock.
type lifeTimer struct {
	life  *life
	f     func()
	timer *timer
}

func (t *lifeTimer) Reset(d time.Duration) bool {
	active := t.Stop()
	d = max(time.Microsecond, time.Duration(float64(d)*(1+t.life.m.tickRate))) // a timer of 0 could fire for ever without time passing
	t.timer = t.life.s.after(d, func() {
		if !t.life.dead {
			t.f()
		}
	})
	return active
}

func (t *lifeTimer) Stop() bool {
	if t.timer == nil || t.timer.stopped {
		return false
	}
	t.timer.stopped = true
	return true
}

// keepDown keeps the operator from restarting the machine until allowUp.
func (m *machine) keepDown() { m.wantDown++ }

// allowUp undoes one keepDown.
func (m *machine) allowUp() { m.wantDown = max(0, m.wantDown-1) } // calmDown may have reset it to 0

// exit ends the process from within. The disk keeps what was written. After a failed sync
// it keeps any part of it; the next process sees that at once or, because the kernel still
// has the pages in memory, only after a power cut.
func (l *life) exit() {
	if l.m.disks.hasFailed(l) {
		if l.sim.diskTimes.IntN(2) == 0 {
			l.stop(func() *crashfs.Disk { return l.disk.Crash(l.sim.diskTimes) })
			return
		}
		l.sim.count("unsynced writes kept in memory after a failed sync")
	}
	l.stop(l.disk.Killed)
}

// kill ends the process from outside, as kill -9 does.
func (m *machine) kill() {
	if l := m.life; l != nil {
		if l.session == nil {
			m.disks.before = nil // its start may have truncated the damage already
		}
		l.stop(l.disk.Killed)
	}
}

// cutPower ends the process and loses any part of what was not synced.
func (m *machine) cutPower(rnd *rand.Rand) {
	m.disks.before = nil
	if l := m.life; l != nil {
		l.stop(func() *crashfs.Disk { return l.disk.Crash(rnd) })
		return
	}
	m.disk = m.disk.Crash(rnd)
}

func (l *life) stop(left func() *crashfs.Disk) {
	if l.dead {
		return
	}
	l.dead = true
	l.s.trace.step(l.s.now, l.m.name, "ends")
	l.m.life = nil
	l.m.disk = left()
	l.m.disk.Inject = nil
	l.s.ending = append(l.s.ending, l.tasks...)
	if l.session != nil {
		l.session.hangUp()
	}
	l.sim.network.lost(l)
}

// pause stops the process without ending it, as SIGSTOP does.
func (l *life) pause() { l.paused = true }

// proceed lets a paused process go on, as SIGCONT does.
func (l *life) proceed() {
	l.paused, l.stalled = false, l.s.now
	l.s.runnable = append(l.s.runnable, l.held...)
	l.held = nil
}
