package sim

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/actors"
	"etcd/bootstrap"
	"etcd/internal/history"
	"etcd/wal/crashfs"
)

// Config selects a run.
type Config struct {
	Seed uint64
	// Skip are the numbers of faults to leave out.
	Skip []int
	// Trace gets every step as text; nil for none.
	Trace io.Writer
}

// Report is the result of a run.
type Report struct {
	Seed uint64
	// Failure is the invariant that was violated, nil if none was.
	Failure error
	// Faults are all that were planned, those left out included.
	Faults []string
	// Trace is a hash of every step.
	Trace uint64
	// Simulated is the simulated time that passed.
	Simulated time.Duration
	// Steps counts the messages handled, Entries the commands committed, Operations those in
	// the histories that were checked for linearizability.
	Steps, Entries, Operations int
	// Counts is how often each named event happened.
	Counts map[string]int
}

// Sim is one run.
type Sim struct {
	*scheduler
	shape    shape
	machines []*machine
	network  wires
	operator operator
	oracle   *oracle
	judge    judge
	clients  []*client
	watchers []*watcher

	identity  *mathrand.Rand // IDs
	workload  *mathrand.Rand // what clients and the operator do
	diskTimes *mathrand.Rand

	founded    uint64                             // cluster ID, once the first machine serves, or that of founders
	founders   bootstrap.Cluster                  // of the machines that found it together
	voted      func(m *machine, candidate uint64) // called when a machine is asked for its vote; may be nil
	quiet      bool                               // clients send nothing more
	lives      int
	lastCall   uint64
	operations []history.Operation
	counts     map[string]int
	failure    error
}

// judge observes the machines, and fails the run when they do what they must not.
type judge interface {
	// starts sees a process when it starts.
	starts(l *life)
	// observe sees a message before the actor of the machine that handles it.
	observe(l *life, kind string, message any)
	// logged sees a line of its log.
	logged(l *life, r slog.Record)
	// remembers sees the HardState on an undamaged disk at a start.
	remembers(m *machine, found *raftpb.HardState)
}

// shape are the parameters of a run, which differ from seed to seed.
type shape struct {
	machines        int
	clients         int
	watchers        int
	faults          int
	think           time.Duration // mean pause of a client between requests
	sync            time.Duration // mean duration of a sync of a healthy disk
	skew            time.Duration // range of the offsets of wall clocks
	tickSkew        float64
	history         uint32
	snapshotEntries uint64
	sinceSnapshot   uint64 // bytes in memory that are in no snapshot; 0: the default
	memory          int    // bytes of entries in memory; 0: the default
	segment         int64
	weather         weather
	older           bool // the cluster is founded by the older program
	children        int  // of a directory that the store actor lists itself
	weight          int  // keys that the store actor looks at for one message
	together        bool // the machines found the cluster together; otherwise the first founds it, and they join
}

func newShape(rnd *mathrand.Rand) shape {
	pick := func(from ...int) int { return from[rnd.IntN(len(from))] }
	sh := shape{
		machines: pick(1, 2, 3, 3, 3, 3, 3, 4, 5, 5),
		clients:  2 + rnd.IntN(8),
		watchers: 4 + rnd.IntN(8),
		faults:   rnd.IntN(25),
		think:    time.Duration(pick(20, 50, 100, 200)) * time.Millisecond,
		sync:     time.Duration(pick(50, 200, 1000, 5000)) * time.Microsecond,
		skew:     time.Duration(pick(0, 50, 2000, 14_400_000)) * time.Millisecond,
		tickSkew: float64(pick(0, 1, 5, 10)) / 100,
		history:  uint32(pick(5, 5, 20, 200, 1000)), snapshotEntries: uint64(pick(20, 50, 200, 1000)),
		sinceSnapshot: uint64(pick(0, 0, 0, 16)) << 10,
		memory:        pick(0, 1, 4, 16) << 10, segment: int64(pick(4, 16, 64)) << 10,
		weather: weather{
			delay: time.Duration(pick(200, 1000, 5000, 20000)) * time.Microsecond,
			lose:  float64(pick(0, 0, 1, 5)) / 100, twice: float64(pick(0, 1, 5)) / 100, stray: float64(pick(0, 1, 5)) / 100,
		},
		older:    pick(0, 1) == 1,
		children: pick(1, 2, 4, actors.MaxChildren),
		weight:   pick(1, 3, 10, actors.MaxWeight),
	}
	sh.together = !sh.older && pick(0, 1) == 1 // the older program does not know founders
	return sh
}

// The phases of a run: workload and faults until calmFrom; then all faults end, and the
// cluster has to converge within patience.
const (
	faultsFrom = 4 * time.Second
	calmFrom   = 40 * time.Second
	patience   = 120 * time.Second
)

// Run makes one run. There must not be two at a time in a process: Raft takes its random
// numbers from [crypto/rand.Reader], which a run replaces.
func Run(cfg Config) *Report {
	stream := func(n uint64) *mathrand.Rand { return mathrand.New(mathrand.NewPCG(cfg.Seed, n)) }
	before := rand.Reader
	rand.Reader = mathrand.NewChaCha8(key(cfg.Seed))
	defer func() { rand.Reader = before }()

	s := &Sim{
		scheduler: newScheduler(stream(1)), shape: newShape(stream(2)),
		identity: stream(3), workload: stream(4), diskTimes: stream(5),
		counts: make(map[string]int),
	}
	s.trace = newTrace(cfg.Trace)
	s.lag = []float64{0, 0.001, 0.02}[s.rnd.IntN(3)]
	s.network = wires{sim: s, rnd: stream(6), cut: make(map[[2]int]int), weather: s.shape.weather}
	s.operator = newOperator(s)
	s.oracle = newOracle(s)
	s.judge = s.oracle
	faults := plan(stream(7), faultsFrom, calmFrom, s.shape.faults)
	s.start(stream)
	s.schedule(without(faults, cfg.Skip))
	s.run(calmFrom, s.failed)
	s.calmDown()
	s.finish()
	s.end()

	r := &Report{
		Seed: cfg.Seed, Failure: s.failure, Trace: s.trace.sum.Sum64(), Simulated: s.now, Steps: s.steps,
		Entries: len(s.oracle.log), Operations: len(s.operations), Counts: s.counts,
	}
	for _, f := range faults {
		r.Faults = append(r.Faults, f.String())
	}
	return r
}

func key(seed uint64) (k [32]byte) {
	for i := range 8 {
		k[i] = byte(seed >> (8 * i))
	}
	return k
}

func without(faults []*fault, skip []int) []*fault {
	var left []*fault
	for _, f := range faults {
		keep := true
		for _, n := range skip {
			keep = keep && f.number != n
		}
		if keep {
			left = append(left, f)
		}
	}
	return left
}

// maxStill is how many messages may be handled without time passing.
const maxStill = 1_000_000

func (s *Sim) failed() bool {
	if s.still > maxStill {
		s.fail("more than %d messages without time passing", maxStill)
	}
	return s.failure != nil
}

// fail records the first violation. The run ends after the current step.
func (s *Sim) fail(format string, args ...any) {
	if s.failure == nil {
		s.failure = fmt.Errorf("at %.6fs: %w", s.now.Seconds(), fmt.Errorf(format, args...))
		s.trace.say(s.now, "VIOLATION", s.failure.Error())
	}
}

func (s *Sim) newMachine() *machine {
	m := &machine{
		sim: s, slot: len(s.machines), name: fmt.Sprintf("m%d", len(s.machines)), disk: crashfs.New(),
		skew: s.skew(s.identity), tickRate: s.shape.tickSkew * (2*s.identity.Float64() - 1),
	}
	m.older = s.shape.older && !s.oracle.raised
	s.machines = append(s.machines, m)
	return m
}

// skew returns a random offset of a wall clock.
func (s *Sim) skew(rnd *mathrand.Rand) time.Duration {
	if s.shape.skew == 0 {
		return 0
	}
	return time.Duration(rnd.Int64N(int64(s.shape.skew))) - s.shape.skew/2
}

// start founds the cluster, and starts clients and watchers.
func (s *Sim) start(stream func(uint64) *mathrand.Rand) {
	s.operator.busy = true
	if s.shape.together {
		s.foundTogether()
	} else {
		s.foundAlone()
	}
	s.after(0, s.operator.look)
	for i := range s.shape.clients {
		c := &client{sim: s, id: i, rnd: stream(100 + uint64(i))}
		s.clients = append(s.clients, c)
		c.again()
	}
	for i := range s.shape.watchers {
		w := &watcher{sim: s, rnd: stream(200 + uint64(i)), stream: i%3 > 0, recursive: i%4 > 0}
		w.path = append([]string{"/"}, s.oracle.paths...)[w.rnd.IntN(1+len(s.oracle.paths))]
		s.watchers = append(s.watchers, w)
		w.reconnect()
	}
	s.after(time.Second, s.compare)
}

// foundAlone lets the first machine found the cluster, and the others join.
func (s *Sim) foundAlone() {
	first := s.newMachine()
	first.member = true
	first.start(s.establish)
	s.operator.await(first, func() {
		s.founded = first.life.machine.ClusterID
		s.grow()
	})
}

// grow adds machines until the cluster has its planned size.
func (s *Sim) grow() {
	if len(s.machines) >= s.shape.machines {
		s.operator.busy = false
		return
	}
	s.operator.add(s.grow)
}

// compare compares the states of machines every second.
func (s *Sim) compare() {
	for _, m := range s.machines {
		if l := m.life; l != nil && l.ready() {
			l.session.freeze(clientPatience, func(reply *actors.Frozen) {
				if reply != nil {
					s.oracle.frozen(l, reply.State)
				}
			})
		}
	}
	s.after(time.Second, s.compare)
}

// anyReady picks a machine that serves clients; nil if there is none.
func (s *Sim) anyReady(rnd *mathrand.Rand) *life { return s.anyLife(rnd, (*life).ready) }

func (s *Sim) anyLife(rnd *mathrand.Rand, fit func(*life) bool) *life {
	var lives []*life
	for _, m := range s.machines {
		if m.life != nil && fit(m.life) {
			lives = append(lives, m.life)
		}
	}
	if len(lives) == 0 {
		return nil
	}
	return lives[rnd.IntN(len(lives))]
}

// end ends all machines.
func (s *Sim) end() {
	for _, m := range s.machines {
		m.kill()
	}
	s.endTasks()
}
