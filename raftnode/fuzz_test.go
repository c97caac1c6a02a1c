package raftnode_test

import (
	"encoding/binary"
	"testing"

	"etcd/raftnode"
)

// forward is a forwarded proposal as another machine sends it.
func forward(id, term uint64, kind byte, member uint64, command string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, id)
	b = binary.LittleEndian.AppendUint64(b, term)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, member)
	return append(b, command...)
}

// Whatever another machine sends, it is proposed, refused by an answer to where it came
// from, or an error; and the leader goes on.
func FuzzForwarded(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(forward(1, 2, 0, 0, "x"))
	f.Add(forward(1, 1, 0, 0, "of an old term"))
	f.Add(forward(1, 2, byte(raftnode.KindAdd), 3, "add"))
	f.Add(forward(1, 2, byte(raftnode.KindRemove), 1, "remove the only one"))
	f.Add(forward(1, 2, 3, 1, "of no kind"))
	f.Add(forward(1, 2, 0, 0, "")[:24])
	f.Add(forward(1<<48|1<<32, 2, 0, 0, "in the name of this machine"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := newCluster(t)
		leader := c.leader()
		entries, rejected := leader.handedOut, 0
		err := leader.node.Forwarded(9, payload)
		valid := len(payload) >= 25 && payload[16] <= byte(raftnode.KindRemove)
		if (err == nil) != valid {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
		leader.work()
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
		if valid && proposed+rejected != 1 || !valid && proposed+rejected != 0 {
			t.Fatalf("%d entries and %d rejections", proposed, rejected)
		}
		write := leader.propose()
		c.settle()
		c.wantDone(write)
	})
}

// A rejection ends or repeats a proposal that waits, or does nothing.
func FuzzRejected(f *testing.F) {
	id := binary.LittleEndian.AppendUint64(nil, 2<<48|1<<32)
	f.Add([]byte(nil))
	f.Add(id)
	for reason := range byte(5) {
		f.Add(append(id[:8:8], reason))
	}
	f.Add(append(id[:8:8], 0, 0))
	f.Add(append(make([]byte, 8), 1))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := grown(t, 2)
		follower := c.followers()[0]
		c.hold = forwards
		write := follower.propose()
		c.settle()
		p := c.onTheWay(forwards)[0]
		c.hold = nil
		err := follower.node.Rejected(payload)
		if (err == nil) != (len(payload) == 9) {
			t.Fatalf("%x: %v", payload, err)
		}
		follower.work()
		mine := err == nil && string(payload[:8]) == string(p.forward[:8])
		again := mine && payload[8] == 0 // not the leader: this one never gets there
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

// A forward that comes back is proposed again, anything else does nothing.
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
		p := c.onTheWay(forwards)[0]
		c.hold = nil
		err := follower.node.Undelivered(payload)
		valid := len(payload) >= 25 && payload[16] <= byte(raftnode.KindRemove)
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
