package raftnode_test

import (
	"encoding/binary"
	"testing"

	"etcd/raftnode"
)

// forward is a forwarded proposal as another machine sends it.
func forward(id, term uint64, kind byte, member uint64, command string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, id)
	b = binary.LittleEndian.AppendUint64(b, id) // lowest ID that is not settled
	b = binary.LittleEndian.AppendUint64(b, 1)  // process
	b = binary.LittleEndian.AppendUint64(b, term)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, member)
	return append(b, command...)
}

// validForward reports whether a payload can be decoded.
func validForward(b []byte) bool {
	if len(b) < 41 || b[32] > byte(raftnode.KindRemove) {
		return false
	}
	id, low := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	return id >= low && id-low <= raftnode.ForwardWindow
}

// mayBeTaken reports whether a leader of term 2 decides about a valid payload.
func mayBeTaken(b []byte) bool {
	return binary.LittleEndian.Uint64(b[24:]) == 2 && b[32] == byte(raftnode.KindCommand) &&
		binary.LittleEndian.Uint64(b)-binary.LittleEndian.Uint64(b[8:]) < raftnode.ForwardWindow
}

// Whatever another machine forwards is proposed, rejected with an answer to its origin, or an
// error; a copy has the same outcome; and the leader goes on.
func FuzzForwarded(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(forward(1, 2, 0, 0, "x"))
	f.Add(forward(1, 1, 0, 0, "of an old term"))
	f.Add(forward(1, 2, byte(raftnode.KindAdd), 3, "add"))
	f.Add(forward(1, 2, byte(raftnode.KindRemove), 1, "remove the only one"))
	f.Add(forward(1, 2, 3, 1, "of no kind"))
	f.Add(forward(1, 2, 0, 0, garbage))
	f.Add(forward(1, 2, 0, 0, "")[:40])
	f.Add(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 5), 6))
	f.Add(forward(1<<48|1<<32, 2, 0, 0, "in the name of this machine"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := newCluster(t)
		leader := c.leader()
		leader.change(raftnode.KindAdd, 9)
		c.settle()
		c.net = nil
		entries, rejected, valid := leader.handedOut, 0, validForward(payload)
		for _, again := range []bool{false, true} {
			bad := !valid || !again && mayBeTaken(payload) && checkCommand(payload[41:]) != nil
			if err := leader.node.Forwarded(9, payload, raftnode.CheckForward(payload, maxCommand, checkCommand)); (err != nil) != bad {
				t.Fatalf("%d bytes: %v", len(payload), err)
			}
			leader.work()
		}
		for _, p := range c.net {
			if p.reject == nil {
				continue
			}
			rejected++
			if p.to != 9 || string(p.reject[:8]) != string(payload[:8]) {
				t.Fatalf("the answer to %x is %+v", payload, p)
			}
		}
		c.settle()
		proposed := int(leader.handedOut - entries)
		if valid && 2*proposed+rejected != 2 || !valid && proposed+rejected != 0 {
			t.Fatalf("%d entries and %d rejections", proposed, rejected)
		}
		write := leader.propose()
		c.settle()
		c.wantDone(write)
	})
}

// A rejection fails or retries a pending proposal, or has no effect.
func FuzzRejected(f *testing.F) {
	id := binary.LittleEndian.AppendUint64(nil, 2<<48|1<<32)
	f.Add([]byte(nil))
	f.Add(id)
	for reason := range raftnode.RejectReasons + 2 { // unknown ones included
		f.Add(append(id[:8:8], reason))
	}
	f.Add(append(id[:8:8], raftnode.RejectNotLeader, 0))
	f.Add(append(id[:8:8], raftnode.RejectNameTaken, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add(append(make([]byte, 8), 1))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := grown(t, 2)
		follower := c.followers()[0]
		c.hold = forwards
		write := follower.propose()
		c.settle()
		p := c.takeInFlight(forwards)[0]
		c.hold = nil
		err := follower.node.Rejected(c.leader().id, payload)
		if (err == nil) != (len(payload) == 9 || len(payload) == 17) {
			t.Fatalf("%x: %v", payload, err)
		}
		follower.work()
		mine := err == nil && string(payload[:8]) == string(p.forward[:8])
		again := mine && (payload[8] == raftnode.RejectNotLeader || payload[8] == raftnode.RejectNotLeaderOfTerm) // retried; p itself is never delivered
		if _, answered := c.answers[write]; answered != (mine && !again) {
			t.Fatalf("%x answers it: %t", payload, answered)
		}
		if !mine {
			c.deliver(p)
		}
		c.pass(1)
		if !mine || again {
			c.wantDone(write)
		}
	})
}

// A forward that comes back undelivered is retried, anything else has no effect.
func FuzzUndelivered(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(forward(2<<48|1<<32, 2, 0, 0, "command 3"))
	f.Add(forward(2<<48|1<<32|1, 2, 0, 0, "command 3"))
	f.Add(forward(0, 2, 9, 0, ""))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := grown(t, 2)
		follower := c.followers()[0]
		c.hold = forwards
		write := follower.propose()
		c.settle()
		p := c.takeInFlight(forwards)[0]
		c.hold = nil
		err := follower.node.Undelivered(payload)
		valid := validForward(payload)
		if (err == nil) != valid {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
		if !valid || string(payload[:8]) != string(p.forward[:8]) {
			c.deliver(p)
		}
		c.pass(1)
		c.wantDone(write)
	})
}
