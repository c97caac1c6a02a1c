package store_test

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
)

// Whatever the bytes are, they are applied twice with the same outcome or
// refused twice, and applied commands survive a restore.
func FuzzApply(f *testing.F) {
	for _, c := range []*storepb.Command{
		set("/a", "1"), set("/d/a", "2", ttl(5), prevValue("1"), prevIndex(3)), set("/d", "", exist, refresh), set("/a", "", missing, dir),
		create("/d", "x", ttl(1)), remove("/d", recursive, exist), remove("/a", dir, prevValue("")), expire("/a", 2, 1050),
		bootstrap(member(1, "a"), 3), setMember(member(7, "b")), removeMember(7), configure(0),
		createUser("root", "h", "a", "b"), createRole("a", "/a*", "/b"), enable(), checked(3)(set("/a", "1")),
		kvPut("a", "1"), kvDelete("a", "b"), kvTxn(putOp("a", "1")), kvCompact(1),
	} {
		f.Add(store.Encode(c), uint64(2000))
	}
	f.Add([]byte{}, uint64(0))
	f.Add([]byte{0x0a, 0x03, 0x0a, 0x01, 0xff}, uint64(1))
	f.Fuzz(func(t *testing.T, command []byte, now uint64) {
		one, other := varied(t), varied(t)
		before := snapshot(t, one.View())
		result, err := one.Apply(20, logtime.Time(now), bytes.Clone(command))
		again, againErr := other.Apply(20, logtime.Time(now), command)
		if (err == nil) != (againErr == nil) || show(result) != show(again) {
			t.Fatalf("%s, %v; then %s, %v", show(result), err, show(again), againErr)
		}
		after := snapshot(t, one.View())
		if !bytes.Equal(after, snapshot(t, other.View())) {
			t.Fatal("the stores differ")
		}
		if err != nil {
			if !bytes.Equal(before, after) {
				t.Fatal("a command that was not understood changed the store")
			}
			return
		}
		c := new(storepb.Command)
		if err := proto.Unmarshal(command, c); err != nil {
			t.Fatal(err)
		}
		store.Encode(c)
		if !bytes.Equal(after, snapshot(t, restore(t, after).View())) {
			t.Fatal("a restore changed the store")
		}
	})
}

// Whatever the bytes are, they are refused or give a store that works and
// writes a snapshot that restores the same.
func FuzzRestore(f *testing.F) {
	f.Add(snapshot(f, store.New().View()))
	f.Add(snapshot(f, varied(f).View()))
	f.Add(snapshot(f, filled(f, raise(store.VersionOfLimits, 0), set("/d/é/f", "1"), set("/d/ê", "2"), set("/d-e", "", dir)).View()))
	f.Add(snapshot(f, guarded(f).View()))
	f.Add(snapshot(f, versioned(f).View()))
	f.Add(stream(f, &storepb.SnapshotHeader{FormatVersion: 1, Index: 9, Nodes: 1 << 60}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := store.Restore(bytes.NewReader(data))
		if err != nil {
			return
		}
		once := snapshot(t, s.View())
		if !bytes.Equal(once, snapshot(t, restore(t, once).View())) {
			t.Fatal("a restore changed the store")
		}
		tree := listing(t, s)
		if next := s.Index() + 1; next != 0 {
			for _, n := range s.Children("/", "", math.MaxInt) {
				if result := apply(t, s, next, 0, checked(s.Auth().Revision())(remove(n.Path, recursive))); result.Failure != nil {
					t.Fatal(result.Failure)
				}
				if next++; next == 0 {
					return
				}
			}
			if left := listing(t, s); left != "" || s.NextDeadline() != 0 {
				t.Fatalf("of\n%s\nthere remains\n%s\nand the deadline %d", tree, left, s.NextDeadline())
			}
		}
	})
}
