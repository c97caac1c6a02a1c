package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

func users(a *storepb.Auth) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Auth{Auth: a}}
}

func createUser(name, hash string, roles ...string) *storepb.Command {
	return users(&storepb.Auth{Change: &storepb.Auth_CreateUser{CreateUser: &storepb.CreateUser{
		Name: name, Hash: hash, Roles: &storepb.Strings{Values: roles},
	}}})
}

func updateUser(u *storepb.UpdateUser) *storepb.Command {
	return users(&storepb.Auth{Change: &storepb.Auth_UpdateUser{UpdateUser: u}})
}

func createRole(name, read, write string) *storepb.Command {
	return users(&storepb.Auth{Change: &storepb.Auth_CreateRole{CreateRole: &storepb.CreateRole{
		Name: name, Read: &storepb.Strings{Values: []string{read}}, Write: &storepb.Strings{Values: []string{write}},
	}}})
}

func enable() *storepb.Command {
	return users(&storepb.Auth{Change: &storepb.Auth_Enable{Enable: &storepb.Enable{}}})
}

func disable() *storepb.Command {
	return users(&storepb.Auth{Change: &storepb.Auth_Disable{Disable: &storepb.Disable{}}})
}

// checked says with which revision of the users and roles a command was checked.
func checked(revision uint64) func(*storepb.Command) *storepb.Command {
	return func(c *storepb.Command) *storepb.Command {
		c.Checked = revision
		return c
	}
}

// guarded returns a store in which users and roles are on, since index 3.
func guarded(t testing.TB) *store.Store {
	return filled(t, createRole("app", "/a", "/a*"), createUser("root", "h", "app"), enable(), checked(3)(set("/a", "1")))
}

// While users and roles are on, a command of a client that was checked with others changes nothing,
// whichever way it is encoded. Those of the machines themselves are always carried out.
func TestUncheckedCommands(t *testing.T) {
	for _, c := range []*storepb.Command{
		set("/a", "2"), set("/a", "2", ttl(5)), create("/d", "1"), remove("/a"), createUser("al", "h"), disable(),
	} {
		s := guarded(t)
		before := listing(t, s)
		for i, revision := range []uint64{0, 2, 4} {
			result := apply(t, s, uint64(10+i), 0, checked(revision)(c))
			if result.Failure == nil || result.Failure.Code != tree.Unauthorized || result.Auth != nil {
				t.Errorf("%v: %s", c, show(result))
			}
		}
		if got := listing(t, s); got != before || s.Auth().Revision() != 3 || !s.Auth().Enabled() || s.Changed() != 4 {
			t.Errorf("%v has changed something: %s", c, got)
		}
		if result := apply(t, s, 20, 0, checked(3)(c)); result.Failure != nil {
			t.Errorf("%v: %s, though it was checked", c, show(result))
		}
	}
	s := guarded(t)
	apply(t, s, 10, 50, checked(3)(set("/t", "1", ttl(5))))
	for i, c := range []*storepb.Command{expire("/t", 10, 1005), configure(9), setMember(member(5, "five")), removeMember(5)} {
		if result := apply(t, s, uint64(11+i), 2000, c); result.Failure != nil {
			t.Errorf("%v: %s", c, show(result))
		}
	}
	if _, failure := s.Get("/t"); failure == nil || s.HistoryLimit() != 9 || !slices.Equal(s.Removed(), []uint64{5}) {
		t.Error("the machines cannot do what they have to")
	}
	apply(t, s, 30, 0, checked(3)(disable()))
	if result := apply(t, s, 31, 0, set("/a", "3")); result.Failure != nil {
		t.Errorf("while users and roles are off: %s", show(result))
	}
}

// The bytes of a checked command are those of its field.
func TestCheckedBytes(t *testing.T) {
	for _, c := range []*storepb.Command{set("/a", "2"), set("/a", ""), remove("/a"), createUser("al", "h")} {
		data := store.Checked(store.Encode(c), 300)
		got, want := new(storepb.Command), checked(300)(c)
		if err := proto.Unmarshal(data, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
}

func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		command *storepb.Command
		want    store.Need
	}{
		{set("/a", "1"), store.Need{Key: "/a"}},
		{set("/a", "1", ttl(4)), store.Need{Key: "/a"}},
		{create("/q", "1"), store.Need{Key: "/q"}},
		{remove("/a"), store.Need{Key: "/a"}},
		{remove("/a", recursive), store.Need{Key: "/a", Deep: true}},
		{updateUser(&storepb.UpdateUser{Name: "al", Hash: "h"}), store.Need{Own: "al"}},
		{updateUser(&storepb.UpdateUser{Name: "al", Hash: "h", Grant: []string{"root"}}), store.Need{}},
		{updateUser(&storepb.UpdateUser{Name: "al", Revoke: []string{"a"}}), store.Need{}},
		{createUser("al", "h"), store.Need{}},
		{disable(), store.Need{}},
		{configure(5), store.Need{}},
	} {
		if got, err := store.Needs(store.Encode(c.command)); err != nil || got != c.want {
			t.Errorf("%v needs %+v, %v; want %+v", c.command, got, err, c.want)
		}
	}
	if _, err := store.Needs([]byte("garbage")); err == nil {
		t.Error("nobody knows what garbage needs")
	}
}

// As long as nothing was said about users a snapshot is what it was before there were any.
func TestSnapshotOfUsers(t *testing.T) {
	plain := snapshot(t, filled(t, set("/a", "1")).View())
	if bytes.Contains(plain, []byte("auth")) {
		t.Error("a snapshot without users has a section for them")
	}
	s := guarded(t)
	data := snapshot(t, s.View())
	again := restore(t, data)
	if !bytes.Equal(snapshot(t, again.View()), data) {
		t.Error("a restore has changed the state")
	}
	for _, s := range []*store.Store{s, again} {
		if a := s.Auth(); a.Revision() != 3 || !a.Enabled() || a.User("root").Hash != "h" || !slices.Equal(a.Roles(), []string{"app", "guest", "root"}) {
			t.Errorf("revision %d, enabled %t, roles %v", a.Revision(), a.Enabled(), a.Roles())
		}
	}
	for name, m := range map[string]*storepb.Users{
		"a later revision":     {Revision: 5},
		"no revision":          {},
		"a later version":      newer(&storepb.Users{Revision: 1}),
		"a user of a later":    {Revision: 1, Users: []*storepb.User{newer(&storepb.User{Name: "a"})}},
		"enabled without root": {Revision: 1, Enabled: true},
	} {
		with := slices.Concat(snapshotOf(t, 6, filled(t, set("/a", "1"), set("/a", "2"), set("/a", "3"), set("/a", "4"))),
			section(t, &storepb.Section{Name: "auth", Count: 1}, m))
		if _, err := store.Restore(bytes.NewReader(with)); err == nil || errors.Is(err, store.ErrNewer) != (len(m.ProtoReflect().GetUnknown()) > 0 || len(m.Users) > 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// snapshotOf returns a snapshot whose header announces so many sections.
func snapshotOf(t testing.TB, sections uint32, s *store.Store) []byte {
	header := &storepb.SnapshotHeader{FormatVersion: 2, Index: s.Index(), Time: uint64(s.Time()), Sections: 5}
	body := bytes.TrimPrefix(snapshot(t, s.View()), stream(t, header))
	header.Sections = sections
	return append(stream(t, header), body...)
}
