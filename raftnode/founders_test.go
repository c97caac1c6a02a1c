package raftnode_test

import (
	"fmt"
	"slices"
	"testing"

	"etcd/raftnode"
)

// firstFounder is the command of the first of several founders.
const firstFounder = "add 1 as m1 p1 c1, who agrees with the others"

// founders starts n machines, of which some that come later, that found a cluster together.
func founders(t reporter, n int, late ...int) *cluster {
	t.Helper()
	c := emptyCluster(t)
	all := []raftnode.Founder{{ID: 1, Command: []byte(firstFounder)}}
	for id := 2; id <= n; id++ {
		all = append(all, raftnode.Founder{ID: uint64(id), Command: fmt.Appendf(nil, "add %d as m%[1]d p%[1]d c%[1]d", id)})
	}
	for range n {
		c.machine()
	}
	start := func(id int) {
		s := c.at(id)
		s.start()
		if err := s.node.Bootstrap(all); err != nil {
			t.Fatalf("%v", err)
		}
	}
	for id := 1; id <= n; id++ {
		if !slices.Contains(late, id) {
			start(id)
		}
	}
	c.pass(60)
	for _, id := range late {
		start(id)
		c.pass(5)
	}
	return c
}

// Machines that found a cluster together have a leader as soon as there is a majority of them, whose
// limits the cluster gets.
func TestFounders(t *testing.T) {
	for name, test := range map[string]struct {
		members int
		late    []int
	}{"one": {1, nil}, "three": {3, nil}, "first late": {3, []int{1}}, "last late": {3, []int{3}}, "five": {5, []int{2, 4}}} {
		t.Run(name, func(t *testing.T) {
			c := founders(repeatable(t), test.members, test.late...)
			ask := c.leader().propose()
			c.pass(3)
			c.wantDone(ask)
			c.wantSame()
			settled := 0
			for i, r := range c.log {
				if r.command == "raise 1" {
					settled++
				}
				if i < test.members && c.log[i].command[:4] != "add " {
					t.Errorf("entry %d is %q", i+1, r.command)
				}
			}
			if settled != 1 {
				t.Errorf("limits were proposed %d times", settled)
			}
			for _, s := range c.up() {
				s.wantRoster()
				if got := len(s.node.Status().Voters); got != test.members {
					t.Errorf("%x knows %d voters", s.id, got)
				}
			}
		})
	}
}

// A minority of the founders waits.
func TestTooFewFounders(t *testing.T) {
	c := founders(repeatable(t), 3, 2, 3)
	ask := c.at(1).propose()
	c.pass(3)
	c.wantDone(ask)
	c = emptyCluster(repeatable(t))
	alone := c.machine()
	alone.start()
	if err := alone.node.Bootstrap([]raftnode.Founder{{ID: 1, Command: []byte(firstFounder)}, {ID: 2, Command: []byte("add 2 as m2 p2 c2")}}); err != nil {
		t.Fatal(err)
	}
	c.pass(50)
	if got := alone.node.Status(); got.Leader != 0 || got.Commit != 2 {
		t.Errorf("one of two: %+v", got)
	}
}

// Only members from the beginning may have an ID that older programs take for reserved.
func TestIDsOfFounders(t *testing.T) {
	c := newCluster(repeatable(t))
	ask := c.leader().changeAs(raftnode.KindAdd, 1<<63, fmt.Sprintf("add %d as m2 p2 c2", uint64(1<<63)))
	c.settle()
	c.wantFailed(ask, raftnode.ErrReservedID)
}
