package store_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/storepb"
)

func raise(to, maxMembers uint32) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Raise{Raise: &storepb.Raise{Version: to, MaxMembers: maxMembers}}}
}

func founded(version, maxMembers uint32) *storepb.Command {
	c := bootstrap(member(1, "a"), 5)
	c.GetBootstrap().Version, c.GetBootstrap().MaxMembers = version, maxMembers
	return c
}

func limit(members uint32) *storepb.Command {
	c := configure(5)
	c.GetConfigure().MaxMembers = members
	return c
}

// A cluster whose founders agree on nothing but a list gets its limits from the first leader, and no
// others later.
func TestFirstLimits(t *testing.T) {
	settle := raise(3, 7)
	settle.GetRaise().HistoryLimit = new(uint32(2))
	s := filled(t, founded(3, 0), settle)
	if s.MaxMembers() != 7 || s.HistoryLimit() != 2 {
		t.Errorf("at most %d members, %d events", s.MaxMembers(), s.HistoryLimit())
	}
	again := raise(3, 9)
	again.GetRaise().HistoryLimit = new(uint32(9))
	apply(t, s, s.Index()+1, 0, again)
	if s.MaxMembers() != 7 || s.HistoryLimit() != 2 {
		t.Errorf("another leader has changed the limits: at most %d members, %d events", s.MaxMembers(), s.HistoryLimit())
	}
}

// What the cluster has agreed on is in its log, and stays in snapshots.
func TestVersionAndLimits(t *testing.T) {
	for name, test := range map[string]struct {
		log        []*storepb.Command
		version    uint32
		maxMembers int
	}{
		"empty":                 {nil, 0, 0},
		"of an earlier program": {[]*storepb.Command{bootstrap(member(1, "a"), 5)}, 1, 0},
		"of this program":       {[]*storepb.Command{founded(2, 7)}, 2, 7},
		"raised":                {[]*storepb.Command{founded(0, 0), raise(2, 9)}, 2, 9},
		"raised to the same":    {[]*storepb.Command{founded(2, 7), raise(2, 9)}, 2, 7},
		"never lowered":         {[]*storepb.Command{founded(2, 7), raise(1, 0)}, 2, 7},
		"another limit":         {[]*storepb.Command{founded(2, 7), limit(3)}, 2, 3},
		"limit unchanged":       {[]*storepb.Command{founded(2, 7), configure(9)}, 2, 7},
	} {
		t.Run(name, func(t *testing.T) {
			s := filled(t, test.log...)
			for _, s := range []*store.Store{s, restore(t, snapshot(t, s.View()))} {
				if s.Version() != test.version || s.MaxMembers() != test.maxMembers {
					t.Errorf("version %d, at most %d members; want %d, %d", s.Version(), s.MaxMembers(), test.version, test.maxMembers)
				}
			}
		})
	}
}

// A program reports which version it lacks before it applies any command of that version.
func TestNewerVersions(t *testing.T) {
	s := filled(t, founded(2, 7))
	for name, test := range map[string]struct {
		command *storepb.Command
		given   uint32
		says    string
	}{
		"raised":                        {raise(8, 0), 8, "the cluster has version 8, and this program understands 1-6: start a program that understands 8"},
		"raised, with an unknown field": {newer(raise(9, 0)), 9, "unknown fields; the cluster has version 2, and this program understands 1-6"},
		"founded":                       {founded(9, 0), 9, "the cluster has version 9, and this program understands 1-6"},
		"unknown field":                 {newer(set("/a", "1")), 0, "unknown fields; the cluster has version 2, and this program understands 1-6"},
		"of a known version":            {raise(2, 0), 2, ""},
		"founded before":                {founded(0, 0), 1, ""},
	} {
		data, err := proto.Marshal(test.command)
		if err != nil {
			t.Fatal(err)
		}
		if got := store.VersionOf(data); got != test.given {
			t.Errorf("%s: gives version %d, want %d", name, got, test.given)
		}
		if err := store.CheckVersion(data); (err != nil) != (test.given > store.Commands.Max) {
			t.Errorf("%s: checked: %v", name, err)
		}
		if test.says == "" {
			continue
		}
		_, err = s.Apply(s.Index()+1, 0, data)
		if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
