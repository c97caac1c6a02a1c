package store_test

import (
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// full returns a store whose quota leaves room for 10 bytes, with the files /filler and /a.
func full(t *testing.T, options ...option) *store.Store {
	s := filled(t, founded(5, 0), set("/filler", strings.Repeat("x", 500)), set("/a", strings.Repeat("x", 1000), options...))
	apply(t, s, 4, 1000, setQuota(uint64(s.Totals().Size())+10))
	return s
}

// Over the quota what makes the state larger is refused, and nothing else; there is room again as soon as
// something has gone.
func TestQuota(t *testing.T) {
	const room = 10
	for name, test := range map[string]struct {
		command *storepb.Command
		refused bool
	}{
		"another file":                   {set("/b", ""), true},
		"another directory":              {set("/b", "", dir), true},
		"a file in a new directory":      {set("/b/c/d", ""), true},
		"an in-order file":               {create("/", ""), true},
		"a larger value":                 {set("/a", strings.Repeat("x", 1000+room+1)), true},
		"a larger value, compared":       {set("/a", strings.Repeat("x", 1000+room+1), prevIndex(3)), true},
		"a larger value, if it is there": {set("/a", strings.Repeat("x", 1000+room+1), exist), true},
		"a value that fits":              {set("/a", strings.Repeat("x", 1000+room)), false},
		"a smaller value":                {set("/a", "x"), false},
		"a time to live":                 {set("/a", "", exist, refresh, ttl(7)), false},
		"a directory instead":            {set("/a", "", dir), false},
		"removal":                        {remove("/a"), false},
		"another member":                 {setMember(member(2, "b")), false},
		"removal of a member":            {removeMember(1), false},
		"a larger quota":                 {setQuota(1 << 30), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := full(t)
			before := listing(t, s)
			r := apply(t, s, 5, 1000, test.command)
			if refused := r.Failure != nil && r.Failure.Code == tree.NoSpace; refused != test.refused || r.Failure != nil && !refused {
				t.Fatalf("%s, want refused: %t", show(r), test.refused)
			}
			if !test.refused {
				return
			}
			if f := r.Failure; f.Quota != s.Quota() || f.Size != s.Quota()-room {
				t.Errorf("it says that %d of %d bytes are in use", f.Size, f.Quota)
			}
			if got := listing(t, s); got != before {
				t.Errorf("it was done in part:\n%s\nbefore:\n%s", got, before)
			}
			apply(t, s, 6, 1000, remove("/filler"))
			if r := apply(t, s, 7, 1000, test.command); r.Failure != nil {
				t.Errorf("with room: %s", show(r))
			}
		})
	}
}

// A key over the quota expires as ever, and what it has counted is free again.
func TestQuotaAndExpiry(t *testing.T) {
	s := full(t, ttl(5))
	apply(t, s, 5, 1000, setQuota(1))
	if r := apply(t, s, 6, 2000, expire("/a", 3, 1005)); show(r) != `expire /a="" 3/6 was /a="`+strings.Repeat("x", 1000)+`" 3/3 @1005` {
		t.Error(show(r))
	}
}

// The quota is part of the state. A cluster gets one with the version that has it, and that leaves it as
// much room as it uses.
func TestFirstQuota(t *testing.T) {
	withQuota := func(c *storepb.Command, bytes uint64) *storepb.Command {
		if b := c.GetBootstrap(); b != nil {
			b.Quota = bytes
		} else {
			c.GetRaise().Quota = bytes
		}
		return c
	}
	large := set("/a", strings.Repeat("x", 10_000))
	for name, test := range map[string]struct {
		log   []*storepb.Command
		quota func(size uint64) uint64
	}{
		"none before version 5":      {[]*storepb.Command{founded(4, 7)}, func(uint64) uint64 { return 0 }},
		"founded":                    {[]*storepb.Command{withQuota(founded(5, 7), 4096)}, func(uint64) uint64 { return 4096 }},
		"raised":                     {[]*storepb.Command{founded(4, 7), withQuota(raise(5, 0), 4096)}, func(uint64) uint64 { return 4096 }},
		"raised with more than half": {[]*storepb.Command{founded(4, 7), large, withQuota(raise(5, 0), 4096)}, func(size uint64) uint64 { return 2 * size }},
		"no other by a later raise":  {[]*storepb.Command{withQuota(founded(5, 7), 4096), withQuota(raise(5, 0), 9999)}, func(uint64) uint64 { return 4096 }},
		"set":                        {[]*storepb.Command{withQuota(founded(5, 7), 4096), setQuota(77)}, func(uint64) uint64 { return 77 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := filled(t, test.log...)
			for _, s := range []*store.Store{s, restore(t, snapshot(t, s.View()))} {
				if want := test.quota(uint64(s.Totals().Size())); s.Quota() != want {
					t.Errorf("quota %d, want %d", s.Quota(), want)
				}
			}
		})
	}
}
