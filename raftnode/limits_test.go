package raftnode_test

import (
	"bytes"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"etcd/raftnode"
)

// fill proposes commands of a size until one is refused, and returns how many were not.
func (s *server) fill(size int) (taken int) {
	s.c.t.Helper()
	for {
		count, _ := s.node.Held()
		s.node.Propose(bytes.Repeat([]byte("x"), size), nil)
		if now, _ := s.node.Held(); now == count {
			return taken
		}
		taken++
	}
}

// Proposals that wait for a leader are bounded in bytes as well as in number; those over the
// limit are refused at once, and timeouts make room again.
func TestBytesWithoutLeaderAreBounded(t *testing.T) {
	const size = 1 << 20
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.isolate(f)
	for f.leader.ID != 0 {
		f.tick(1)
		f.work()
	}
	if taken := f.fill(size); taken != raftnode.MaxWaitingBytes/size {
		t.Fatalf("%d are taken", taken)
	}
	write := f.propose()
	f.work()
	c.wantFailed(write, raftnode.ErrOverloaded)
	f.tick(f.cfg.RequestTicks)
	f.work()
	c.wantNothingHeld()
	if taken := f.fill(0); taken != raftnode.MaxWaiting {
		t.Fatalf("%d are taken", taken)
	}
	f.tick(f.cfg.RequestTicks)
	f.work()
	c.wantNothingHeld()
	if taken := f.fill(raftnode.MaxWaitingBytes + 1); taken != 1 {
		t.Fatalf("%d commands over the limit are taken, want 1", taken)
	}
}

// So are forwarded proposals in flight.
func TestBytesInFlightAreBounded(t *testing.T) {
	const size = 1 << 20
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = forwards
	taken := 0
	for range 20 {
		taken += f.fill(10 * size)
		c.settle()
	}
	if taken != raftnode.MaxWaitingBytes/size/10 {
		t.Fatalf("%d are taken", taken)
	}
	write := f.propose()
	big := c.ticket(f)
	f.node.Propose(make([]byte, 5*size), big)
	f.work()
	c.wantOpen(write) // it fits
	c.wantFailed(big, raftnode.ErrOverloaded)
}

// A leader bounds the forwards that it queues, and refuses others at once.
func TestBytesQueuedAtLeaderAreBounded(t *testing.T) {
	c := grown(repeatable(t), 3)
	f, leader := c.followers()[0], c.leader()
	leader.node.Propose(make([]byte, raftnode.MaxWaitingBytes), nil)
	write := f.propose()
	f.work()
	c.deliver(c.takeInFlight(forwards)[0])
	c.settle()
	c.wantFailed(write, raftnode.ErrOverloaded)
	c.wantNothingHeld()
}

// Reads are bounded in number from their arrival to their answer, those included whose
// ReadIndex is in flight.
func TestReadsAreBounded(t *testing.T) {
	c := grown(repeatable(t), 3)
	f := c.followers()[0]
	c.hold = func(p *packet) bool { return p.message != nil && p.message.GetType() == raftpb.MsgReadIndex }
	for range raftnode.MaxWaiting / 2 {
		f.node.Read(nil)
	}
	f.work()
	for range raftnode.MaxWaiting / 2 {
		f.node.Read(nil)
	}
	read := f.read()
	f.work()
	c.wantFailed(read, raftnode.ErrOverloaded)
	f.tick(f.cfg.RequestTicks)
	c.heal()
	c.pass(5)
	read = f.read()
	c.settle()
	c.wantDone(read)
	c.wantNothingHeld()
}
