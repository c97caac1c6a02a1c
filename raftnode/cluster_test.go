package raftnode_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/cryptotest"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"etcd/raftnode"
	"etcd/version"
)

// packet is something in flight from one machine to another.
type packet struct {
	from, life, to  uint64
	message         *raftpb.Message
	time            uint64 // of the log, sent with a message
	forward, reject []byte
}

// cluster simulates the network and the environment of each machine, and continuously
// checks what the nodes promise together.
type cluster struct {
	t       reporter
	tune    []func(*raftnode.Config)
	servers []*server // in the order in which they joined; server n has ID n
	net     []*packet
	cut     map[[2]uint64]bool   // from, to
	streams map[[2]uint64]uint64 // from, to: the latest life of the sender of which a proposal has arrived
	hold    func(p *packet) bool // selects what settle leaves in flight; nil: nothing
	clock   uint64
	// retained is how many entries before a snapshot the logs keep, for followers that lag a
	// little.
	retained uint64

	tickets int
	answers map[*ticket]answer
	refused map[string]bool
	visible uint64 // the newest entry that any client has seen

	log     []record          // the longest applied by any machine
	where   map[string]uint64 // index of each command in it
	stamps  map[uint64]uint64 // time in each entry that any machine applied
	leaders map[uint64]uint64 // by term
}

func emptyCluster(t reporter, tune ...func(*raftnode.Config)) *cluster {
	return &cluster{
		t: t, tune: tune, cut: map[[2]uint64]bool{}, streams: map[[2]uint64]uint64{}, answers: map[*ticket]answer{}, refused: map[string]bool{},
		where: map[string]uint64{}, stamps: map[uint64]uint64{}, leaders: map[uint64]uint64{}, retained: 2,
	}
}

// newCluster starts a machine that is a cluster of its own.
func newCluster(t reporter, tune ...func(*raftnode.Config)) *cluster {
	t.Helper()
	c := emptyCluster(t, tune...)
	s := c.machine()
	s.start()
	if err := s.node.Bootstrap([]raftnode.Founder{{ID: s.id, Command: []byte(bootstrap)}}); err != nil {
		t.Fatalf("%v", err)
	}
	c.settle()
	return c
}

// grown starts a cluster of n voters, led by the first.
func grown(t reporter, n int, tune ...func(*raftnode.Config)) *cluster {
	t.Helper()
	c := newCluster(t, tune...)
	for range n - 1 {
		c.join()
	}
	return c
}

// repeatable makes the election timeouts the same in every run.
func repeatable(t *testing.T) *testing.T {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	return t
}

func (c *cluster) machine() *server {
	s := &server{c: c, id: uint64(len(c.servers) + 1), cfg: raftnode.Config{
		ElectionTicks: 10, HeartbeatTicks: 1, RequestTicks: 40, MaxMembers: 5,
		MaxCommand: maxCommand, Describe: describe, Commands: version.Range{Min: 1, Max: 1}, RaiseTo: raiseTo, Log: slog.New(slog.DiscardHandler),
	}}
	for _, f := range c.tune {
		f(&s.cfg)
	}
	s.cfg.MemberID = s.id
	c.servers = append(c.servers, s)
	return s
}

// joiner starts a machine whose join was accepted.
func (c *cluster) joiner() *server {
	s := c.machine()
	s.disk.hardState = &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(0))}
	return s
}

// join adds a machine and waits until it is promoted.
func (c *cluster) join() *server {
	c.t.Helper()
	s := c.joiner()
	ask := c.leader().change(raftnode.KindAdd, s.id)
	c.settle()
	c.wantDone(ask)
	s.start()
	for range 20 {
		c.pass(1)
		if len(c.leader().node.Status().Learners) == 0 {
			return s
		}
	}
	c.t.Fatalf("machine %x does not get a vote: %+v", s.id, c.leader().node.Status())
	return nil
}

// at returns the machine with the given ID.
func (c *cluster) at(id int) *server { return c.servers[id-1] }

// up returns the machines that run.
func (c *cluster) up() []*server {
	return slices.DeleteFunc(slices.Clone(c.servers), func(s *server) bool { return s.node == nil })
}

// leader returns the leader of the latest term.
func (c *cluster) leader() *server {
	c.t.Helper()
	var leader *server
	for _, s := range c.up() {
		if s.leader.Self && (leader == nil || s.leader.Term > leader.leader.Term) {
			leader = s
		}
	}
	if leader == nil {
		c.t.Fatalf("nobody leads")
	}
	return leader
}

func (c *cluster) followers() []*server {
	leader := c.leader()
	return slices.DeleteFunc(c.up(), func(s *server) bool { return s == leader })
}

// elect makes s the leader of a new term without any time passing.
func (c *cluster) elect(s *server) {
	c.t.Helper()
	for _, other := range c.up() {
		if other != s && !other.leader.Self {
			if err := other.node.ForgetLeader(); err != nil {
				c.t.Fatalf("%v", err)
			}
		}
	}
	if err := s.node.Campaign(); err != nil {
		c.t.Fatalf("%v", err)
	}
	c.settle()
	if !s.leader.Self {
		c.t.Fatalf("%x does not become leader: %+v", s.id, s.node.Status())
	}
}

// isolate cuts a machine off from all others.
func (c *cluster) isolate(s *server) {
	for _, other := range c.servers {
		c.cut[[2]uint64{s.id, other.id}], c.cut[[2]uint64{other.id, s.id}] = true, true
	}
}

func (c *cluster) heal() {
	clear(c.cut)
	c.hold = nil
}

// now returns the true time, which advances by a nanosecond with each call.
func (c *cluster) now() uint64 {
	c.clock++
	return c.clock
}

func (c *cluster) name(what string) string { return fmt.Sprintf("%s %d", what, c.tickets) }

func (c *cluster) ticket(s *server) *ticket {
	c.tickets++
	t := &ticket{number: c.tickets, asked: s.ticks, mustSee: c.visible}
	s.open[t] = true
	return t
}

func (c *cluster) send(p *packet) { c.net = append(c.net, p) }

// take takes a packet off the network.
func (c *cluster) take(i int) *packet {
	p := c.net[i]
	c.net = slices.Delete(c.net, i, i+1)
	return p
}

// sender returns the machine whose process sent p; nil if that has ended.
func (c *cluster) sender(p *packet) *server {
	if s := c.at(int(p.from)); s.node != nil && s.lives == p.life {
		return s
	}
	return nil
}

// lose drops p. The sender is told as far as a real one can know.
func (c *cluster) lose(p *packet) {
	s := c.sender(p)
	if s == nil || p.message == nil {
		return
	}
	if p.message.GetType() == raftpb.MsgSnap {
		s.node.SnapshotSent(p.to, false)
	}
	s.node.Unreachable(p.to)
}

// deliver has p arrive, unless the link is cut or the receiver is down.
func (c *cluster) deliver(p *packet) {
	c.t.Helper()
	if p.to > uint64(len(c.servers)) || c.at(int(p.to)).node == nil || c.cut[[2]uint64{p.from, p.to}] {
		c.lose(p)
		return
	}
	var err error
	s := c.at(int(p.to))
	switch {
	case p.message != nil:
		err = s.node.Step(raftnode.Message{Message: proto.Clone(p.message).(*raftpb.Message), Time: p.time}, s.reading())
		if from := c.sender(p); from != nil && p.message.GetType() == raftpb.MsgSnap {
			from.node.SnapshotSent(p.to, true)
		}
	case p.forward != nil:
		stream := [2]uint64{p.from, p.to}
		if p.life < c.streams[stream] { // the stream had ended before the next process connected
			return
		}
		c.streams[stream] = p.life
		err = s.node.Forwarded(p.from, p.forward, raftnode.CheckForward(p.forward, maxCommand, checkCommand))
	default:
		err = s.node.Rejected(p.from, p.reject)
	}
	if err != nil {
		c.t.Fatalf("%x does not take what %x sends: %v", p.to, p.from, err)
	}
}

// settle does everything that can be done without time passing.
func (c *cluster) settle() {
	c.t.Helper()
	for range 1000 {
		for _, s := range c.up() {
			s.work()
		}
		busy := false
		for _, s := range c.up() {
			busy = busy || len(s.wal) > 0 && !s.stuck || len(s.store) > 0
			if !s.stuck {
				s.sync(len(s.wal))
			}
			s.apply(len(s.store))
			if s.maySnapshot() && !s.lazy {
				s.saveSnapshot()
			}
		}
		way := c.net
		c.net = nil
		for _, p := range way {
			if c.hold != nil && c.hold(p) {
				c.net = append(c.net, p)
				continue
			}
			busy = true
			c.deliver(p)
		}
		c.stopRemoved()
		if !busy {
			return
		}
	}
	c.t.Fatalf("it does not come to rest")
}

// stopRemoved ends removed machines that can be told so by another machine.
func (c *cluster) stopRemoved() {
	for _, s := range c.up() {
		for _, other := range c.up() {
			if s.removal > 0 && other != s && other.handedOut >= s.removal && !c.cut[[2]uint64{s.id, other.id}] && !s.removed {
				s.removed = true
				s.crash(len(s.wal))
			}
		}
	}
}

// pass lets ticks pass for all machines, and settles after each.
func (c *cluster) pass(ticks int) {
	c.t.Helper()
	for range ticks {
		for _, s := range c.up() {
			s.tick(1)
		}
		c.settle()
	}
}

// record checks and records that s was handed the next entry.
func (c *cluster) record(s *server, r record) {
	c.t.Helper()
	switch {
	case s.records < len(c.log) && c.log[s.records] != r:
		c.t.Fatalf("%x applies %+v where another has %+v", s.id, r, c.log[s.records])
	case s.records < len(c.log):
		return
	}
	if at, ok := c.where[r.command]; ok {
		c.t.Fatalf("%q is applied twice: by entries %d and %d", r.command, at, r.index)
	}
	if c.refused[r.command] {
		c.t.Fatalf("%q is entry %d, but its proposer was told that it was not proposed", r.command, r.index)
	}
	c.log = append(c.log, r)
	c.where[r.command] = r.index
}

// recordsUpTo returns how many records of the log have at most the given index.
func (c *cluster) recordsUpTo(index uint64) int {
	n := 0
	for n < len(c.log) && c.log[n].index <= index {
		n++
	}
	return n
}

// wantDone checks that proposals were applied and answered with their own entry.
func (c *cluster) wantDone(tickets ...*ticket) {
	c.t.Helper()
	for _, t := range tickets {
		a, ok := c.answers[t]
		if !ok || a.err != nil || t.command != "" && a.index != c.where[t.command] {
			c.t.Fatalf("request %d (%q): got %+v (answered: %t), its entry is %d", t.number, t.command, a, ok, c.where[t.command])
		}
	}
}

func (c *cluster) wantFailed(t *ticket, err error) {
	c.t.Helper()
	if a, ok := c.answers[t]; !ok || a.err != err {
		c.t.Fatalf("request %d (%q): got %+v (answered: %t), want %v", t.number, t.command, a, ok, err)
	}
}

func (c *cluster) wantOpen(tickets ...*ticket) {
	c.t.Helper()
	for _, t := range tickets {
		if a, ok := c.answers[t]; ok {
			c.t.Fatalf("request %d (%q) is answered: %+v", t.number, t.command, a)
		}
	}
}

// wantSame checks that all machines that run have the whole log.
func (c *cluster) wantSame() {
	c.t.Helper()
	for _, s := range c.up() {
		if s.records != len(c.log) {
			c.t.Fatalf("%x has %d of %d commands", s.id, s.records, len(c.log))
		}
	}
}

// wantNothingHeld checks that nothing counts towards the limits any more.
func (c *cluster) wantNothingHeld() {
	c.t.Helper()
	for _, s := range c.up() {
		if count, bytes := s.node.Held(); count != 0 || bytes != 0 || s.node.HeldReads() != 0 {
			c.t.Fatalf("%x still counts %d proposals with %d bytes, and %d reads", s.id, count, bytes, s.node.HeldReads())
		}
	}
}
