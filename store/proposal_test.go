package store_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/storepb"
)

// Commands that clients can ask for may be proposed, up to the longest, and no others.
func TestCheckProposal(t *testing.T) {
	long := func(n int) string { return "/" + strings.Repeat("a", n-1) }
	deep := func(n int) string { return strings.Repeat("/a", n) }
	for _, c := range []struct {
		name    string
		command *storepb.Command
		ok      bool
	}{
		{"a set", set("/a/b", "1", ttl(5), prevValue("0")), true},
		{"a creation", create("/a", "1"), true},
		{"a deletion", remove("/a"), true},
		{"an expiration", expire("/a", 3, 5), true},
		{"a configuration", configure(1000), true},
		{"the longest path", set(long(store.MaxPath), "1"), true},
		{"the longest value", set(long(store.MaxPath), strings.Repeat("v", store.MaxValue), prevValue(strings.Repeat("p", store.MaxPath))), true},
		{"a path that is too long", set(long(store.MaxPath+1), "1"), false},
		{"a path to delete that is too long", remove(long(store.MaxPath + 1)), false},
		{"a path to expire that is too long", expire(long(store.MaxPath+1), 3, 5), false},
		{"a parent that is too long", create(long(store.MaxPath), "1"), false},
		{"the deepest key", set(deep(store.MaxDepth), "1"), true},
		{"a key that is too deep", set(deep(store.MaxDepth+1), "1"), false},
		{"the deepest parent", create(deep(store.MaxDepth-1), "1"), true},
		{"a parent that is too deep", create(deep(store.MaxDepth), "1"), false},
		{"a deep key to delete", remove(deep(store.MaxDepth + 1)), true},
		{"a deep key that expires", expire(deep(store.MaxDepth+1), 3, 5), true},
		{"a value that is too long", set("/a", strings.Repeat("v", store.MaxCommand)), false},
		{"a history limit that is too high", configure(store.MaxHistory + 1), false},
		{"a reserved key", set("/_etcd/machines/a", "raft=http://evil"), false},
		{"a reserved directory", create("/_etcd", "1"), false},
		{"deletion of a reserved key", remove("/_etcd/machines/a"), false},
		{"deletion of a reserved directory", remove("/_etcd/machines"), false},
		{"deletion of the directory around it", remove("/_etcd"), false},
		{"what a discovery service keeps beside it", set("/_etcd/registry/a", "1"), true},
		{"a new member", setMember(member(1, "a")), false},
		{"removal of a member", removeMember(1), false},
		{"a bootstrap", bootstrap(member(1, "a"), 3), false},
		{"a negative time to live", set("/a", "1", ttl(-1)), false},
		{"a path that is not clean", set("/a/../b", "1"), false},
		{"nothing", &storepb.Command{}, false},
		{"a user", createUser("al", "h", "a"), true},
		{"a role", createRole("a", "/a*", "/b"), true},
		{"enabling", enable(), true},
		{"a checked set", checked(7)(set("/a", "1")), true},
		{"a user without a name", createUser("", "h"), false},
		{"a role without a name", createRole("", "/a*", "/b"), false},
		{"no change of users and roles", &storepb.Command{Kind: &storepb.Command_Auth{Auth: &storepb.Auth{}}}, false},
		{"too many patterns", createRole("a", strings.Repeat("/a", store.MaxAuthCommand/2), "/b"), false},
	} {
		data, err := proto.Marshal(c.command)
		if err != nil {
			t.Fatal(err)
		}
		err = store.CheckProposal(data)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: the error has %d bytes", c.name, len(err.Error()))
		}
		// What may be proposed can be applied.
		if c.ok && store.CheckCommand(data) != nil {
			t.Errorf("%s: %v", c.name, store.CheckCommand(data))
		}
	}
	for _, garbage := range []string{"garbage", "\x0a\x03\x0a\x01\xff", "\xff", strings.Repeat("\x0a", 1000)} {
		if store.CheckProposal([]byte(garbage)) == nil {
			t.Errorf("%q may be proposed", garbage)
		}
	}
}

// A member longer than any can be is refused.
func TestDecodeMemberLimits(t *testing.T) {
	m := member(1, "a")
	m.PeerUrl = "http://" + strings.Repeat("a", 5<<20)
	data, err := proto.Marshal(setMember(m))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.DecodeMember(data); err == nil {
		t.Error("it is taken")
	}
}

// Whatever may be proposed can be applied.
func FuzzCheckProposal(f *testing.F) {
	for _, c := range []*storepb.Command{
		set("/a", "1"), set("/d/a", "2", ttl(5), prevValue("1"), prevIndex(3)), create("/d", "x", ttl(1)), remove("/d", recursive, exist),
		expire("/a", 2, 1050), bootstrap(member(1, "a"), 3), setMember(member(7, "b")), removeMember(7), configure(0), set("/_etcd/x", "1"),
		createUser("al", "h"), createRole("a", "/a*", "/b"), enable(), checked(7)(remove("/a")),
	} {
		f.Add(store.Encode(c))
	}
	f.Fuzz(func(t *testing.T, command []byte) {
		if store.CheckProposal(command) != nil {
			return
		}
		if _, err := varied(t).Apply(20, 1, command); err != nil {
			t.Fatal(err)
		}
	})
}
