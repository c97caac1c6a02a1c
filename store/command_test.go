package store_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/storepb"
)

// badPaths are not absolute or not clean.
var badPaths = []string{"", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a/..", "a/b"}

// A command that is not understood is an error, and must not change anything.
func TestApplyRefusesInvalidCommands(t *testing.T) {
	unknownField := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
	newer := func(c *storepb.Command, inner proto.Message) *storepb.Command {
		inner.ProtoReflect().SetUnknown(unknownField)
		return c
	}
	tests := map[string]*storepb.Command{
		"no kind":             {},
		"member without id":   setMember(&storepb.Member{Name: "a"}),
		"no member":           bootstrap(nil, 1),
		"member dot":          setMember(&storepb.Member{Id: 1, Name: ".."}),
		"member slash":        setMember(&storepb.Member{Id: 1, Name: "a/b"}),
		"negative ttl":        set("/a", "1", ttl(-1)),
		"negative create ttl": create("/a", "1", ttl(-1)),
	}
	for _, path := range badPaths {
		tests["set path "+path] = set(path, "1")
		tests["create path "+path] = create(path, "1")
		tests["delete path "+path] = remove(path)
		tests["expire path "+path] = expire(path, 1, 1)
	}
	c := set("/a", "1")
	tests["newer command"] = newer(c, c)
	c = set("/a", "1")
	tests["newer set"] = newer(c, c.GetSet())
	c = set("/a", "1", exist)
	tests["newer condition"] = newer(c, c.GetSet().GetCondition())
	c = create("/a", "1")
	tests["newer create"] = newer(c, c.GetCreate())
	c = remove("/a", exist)
	tests["newer delete"] = newer(c, c.GetDelete())
	c = remove("/a", exist)
	tests["newer delete condition"] = newer(c, c.GetDelete().GetCondition())
	c = expire("/a", 1, 1)
	tests["newer expire"] = newer(c, c.GetExpire())
	c = bootstrap(member(1, "a"), 1)
	tests["newer bootstrap"] = newer(c, c.GetBootstrap())
	c = setMember(member(1, "a"))
	tests["newer set member"] = newer(c, c.GetSetMember())
	c = setMember(member(1, "a"))
	tests["newer member"] = newer(c, c.GetSetMember().GetMember())
	c = removeMember(1)
	tests["newer remove member"] = newer(c, c.GetRemoveMember())
	c = configure(1)
	tests["newer configure"] = newer(c, c.GetConfigure())

	s := filled(t, set("/a", "1", ttl(5)))
	before := snapshot(t, s.View())
	for name, c := range tests {
		data, err := proto.Marshal(c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := s.Apply(7, 0, data); err == nil {
			t.Errorf("%s: applied", name)
		} else if !strings.Contains(err.Error(), "command 7 is not understood") {
			t.Errorf("%s: the error is %v", name, err)
		}
		if !panics(func() { store.Encode(c) }) {
			t.Errorf("%s: encoded", name)
		}
	}
	for name, data := range map[string][]byte{
		"garbage":     []byte("garbage"),
		"truncated":   store.Encode(set("/abc", "1"))[:5],
		"bad text":    protowire.AppendBytes([]byte{0x0a}, protowire.AppendBytes([]byte{0x0a}, []byte("/\xff"))),
		"kind unseen": protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), nil),
	} {
		if _, err := s.Apply(7, 0, data); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
	if !panics(func() { store.Encode(set("/\xff", "1")) }) {
		t.Error("a path that is not UTF-8 was encoded")
	}
	if !bytes.Equal(before, snapshot(t, s.View())) {
		t.Error("the store changed")
	}
}

func TestApplyNeedsIncreasingIndexes(t *testing.T) {
	s := filled(t, set("/a", "1"), set("/a", "2"))
	for index := range uint64(3) {
		if _, err := s.Apply(index, 0, store.Encode(set("/a", "3"))); err == nil {
			t.Errorf("index %d was applied after 2", index)
		}
	}
	apply(t, s, 3, 0, set("/a", "3"))
}

func panics(f func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	f()
	return false
}
