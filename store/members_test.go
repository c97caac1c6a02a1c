package store_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/version"
)

func TestMemberFiles(t *testing.T) {
	moved := member(2, "b")
	moved.PeerUrl = "http://b:8001"
	steps := []step{
		{bootstrap(member(2, "b"), 10), `set /_etcd/machines/b="raft=http://b:7001&etcd=http://b:4001" 1/1`},
		{setMember(member(1, "a")), `set /_etcd/machines/a="raft=http://a:7001&etcd=http://a:4001" 2/2`},
		{setMember(moved), `set /_etcd/machines/b="raft=http://b:8001&etcd=http://b:4001" 3/3 was /_etcd/machines/b="raft=http://b:7001&etcd=http://b:4001" 1/1`},
		{setMember(member(2, "c")), `set /_etcd/machines/c="raft=http://c:7001&etcd=http://c:4001" 4/4`},
		{removeMember(9), "nothing"},
		{removeMember(1), `delete /_etcd/machines/a="" 2/6 was /_etcd/machines/a="raft=http://a:7001&etcd=http://a:4001" 2/2`},
		{removeMember(1), "nothing"},
	}
	s := store.New()
	for i, step := range steps {
		if got := show(apply(t, s, uint64(i+1), 0, step.command)); got != step.want {
			t.Errorf("command %d\n got: %s\nwant: %s", i+1, got, step.want)
		}
	}
	want := "/_etcd/ 1/1\n/_etcd/machines/ 1/1\n/_etcd/machines/c=\"raft=http://c:7001&etcd=http://c:4001\" 4/4"
	if got := listing(t, s); got != want {
		t.Errorf("the tree is\n%s\nwant\n%s", got, want)
	}
	members := []store.Member{{ID: 2, Name: "c", PeerURL: "http://c:7001", ClientURL: "http://c:4001"}}
	if got := s.Members(); !reflect.DeepEqual(got, members) {
		t.Errorf("members are %v, want %v", got, members)
	}
	if got := s.HistoryLimit(); got != 10 {
		t.Errorf("the history limit is %d, want 10", got)
	}
	if got := s.History().Len(); got != 5 {
		t.Errorf("the history has %d events, want 5", got)
	}
}

// A member shows among the keys once it has told its name and where clients reach it.
func TestMembersThatHaveNotToldAll(t *testing.T) {
	founder := bootstrap(&storepb.Member{Id: 1 << 63, Name: "a", PeerUrl: "http://a:7001"}, 10)
	founder.GetBootstrap().Version = store.VersionOfFounders
	steps := []step{
		{founder, "nothing"},
		{setMember(&storepb.Member{Id: 2, PeerUrl: "http://b:7001"}), "nothing"},
		{setMember(member(1<<63, "a")), `set /_etcd/machines/a="raft=http://a:7001&etcd=http://a:4001" 3/3`},
		{setMember(&storepb.Member{Id: 3, PeerUrl: "http://c:7001"}), "nothing"},
		{removeMember(3), "nothing"},
	}
	s := store.New()
	for i, step := range steps {
		if got := show(apply(t, s, uint64(i+1), 0, step.command)); got != step.want {
			t.Errorf("command %d\n got: %s\nwant: %s", i+1, got, step.want)
		}
	}
	want := []store.Member{{ID: 2, PeerURL: "http://b:7001"}, {ID: 1 << 63, Name: "a", PeerURL: "http://a:7001", ClientURL: "http://a:4001"}}
	if got := restore(t, snapshot(t, s.View())).Members(); !reflect.DeepEqual(got, want) {
		t.Errorf("members are %v, want %v", got, want)
	}
}

func TestMembersAreSortedCopies(t *testing.T) {
	s := filled(t, setMember(member(3, "c")), setMember(member(1, "a")), setMember(member(2, "b")))
	var names []string
	for _, m := range s.Members() {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, ""); got != "abc" {
		t.Errorf("the order is %s", got)
	}
	s.Members()[0].Name = "changed by the caller"
	if got := s.Members()[0].Name; got != "a" {
		t.Errorf("a caller changed the store: %q", got)
	}
}

// The members in a snapshot are those at the time of its view.
func TestSnapshotsKeepTheirMembers(t *testing.T) {
	s := filled(t, setMember(member(1, "a")), setMember(member(2, "b")), setMember(member(3, "c")))
	for i, c := range []*storepb.Command{setMember(member(2, "x")), removeMember(1), setMember(member(1, "y")), removeMember(3)} {
		taken, want := s.View(), snapshot(t, s.View())
		apply(t, s, uint64(10+i), 0, c)
		if !bytes.Equal(snapshot(t, taken), want) {
			t.Errorf("command %d changed a snapshot taken before it", 10+i)
		}
	}
}

// Two members may have the same name for a while, when a machine is replaced.
func TestSharedMemberFile(t *testing.T) {
	s := filled(t, setMember(member(1, "a")), setMember(member(2, "a")))
	if got := show(apply(t, s, 3, 0, removeMember(1))); got != "nothing" {
		t.Errorf("got %s", got)
	}
	if _, f := s.Get("/_etcd/machines/a"); f != nil {
		t.Error(f)
	}
	apply(t, s, 4, 0, removeMember(2))
	if _, f := s.Get("/_etcd/machines/a"); f == nil {
		t.Error("the file is still there")
	}
}

// Membership must not fail because of what a client wrote.
func TestKeysInPlaceOfMemberFiles(t *testing.T) {
	t.Run("a file for a directory", func(t *testing.T) {
		s := filled(t, set("/_etcd", "x"))
		if got := show(apply(t, s, 2, 0, setMember(member(1, "a")))); got != "nothing" {
			t.Errorf("got %s", got)
		}
		if got := len(s.Members()); got != 1 {
			t.Errorf("%d members", got)
		}
		if got := show(apply(t, s, 3, 0, removeMember(1))); got != "nothing" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a directory for a file", func(t *testing.T) {
		s := filled(t, set("/_etcd/machines/a/x", "1"))
		if got := show(apply(t, s, 2, 0, setMember(member(1, "a")))); got != "nothing" {
			t.Errorf("got %s", got)
		}
		if got := show(apply(t, s, 3, 0, removeMember(1))); got != "nothing" {
			t.Errorf("got %s", got)
		}
		if got := len(s.Members()); got != 0 {
			t.Errorf("%d members", got)
		}
		if _, f := s.Get("/_etcd/machines/a/x"); f != nil {
			t.Error(f)
		}
	})
}

// What a command does to the members is known before it is applied.
func TestDecodeMember(t *testing.T) {
	a := store.Member{ID: 1, Name: "a", PeerURL: "http://a:7001", ClientURL: "http://a:4001"}
	if m, err := store.DecodeMember(store.Encode(setMember(member(1, "a")))); (m != store.MemberChange{Member: a}) || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
	said := setMember(member(1, "a"))
	said.GetSetMember().Understands = &storepb.Versions{Min: 1, Max: 3}
	if m, err := store.DecodeMember(store.Encode(said)); (m != store.MemberChange{Member: a, Commands: version.Range{Min: 1, Max: 3}}) || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := store.DecodeMember(store.Encode(removeMember(7))); (m != store.MemberChange{Member: store.Member{ID: 7}, Removes: true}) || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
	for _, command := range [][]byte{nil, []byte("nonsense"), store.Encode(set("/a", "1")), store.Encode(bootstrap(member(1, "a"), 5))} {
		if m, err := store.DecodeMember(command); err == nil {
			t.Errorf("%q is about %+v", command, m)
		}
	}
}
