package store_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// The members of an older cluster do not all read format 3.
func TestSnapshotFormatIsThatOfTheCluster(t *testing.T) {
	for version, want := range map[uint32]uint32{store.VersionOfV2: 2, store.VersionOfLimits: 3} {
		data := snapshot(t, filled(t, raise(version, 0), set("/a", "1")).View())
		if !bytes.HasPrefix(data, stream(t, &storepb.SnapshotHeader{FormatVersion: want, Index: 2, Time: 1000, Sections: 5})) {
			t.Errorf("a cluster of version %d does not have snapshots of format %d", version, want)
		}
	}
}

// drawTree draws the paths of files and of directories. Their names often begin alike, also in the middle
// of a character.
func drawTree(t *rapid.T) (commands []*storepb.Command) {
	name := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune("aä-öĀ語診🙂🙃")), 1, 3, -1), rapid.Just(strings.Repeat("long", 20)))
	for _, names := range rapid.SliceOfN(rapid.SliceOfN(name, 1, 6), 0, 30).Draw(t, "paths") {
		c := set("/"+strings.Join(names, "/"), drawValue(t), ttl(int64(rapid.IntRange(1, 2).Draw(t, "ttl"))))
		c.GetSet().Dir = rapid.IntRange(0, 3).Draw(t, "dir") == 0
		commands = append(commands, c)
	}
	return commands
}

// Whatever the tree is, it comes back from both formats, and they differ in nothing else.
func TestSnapshotFormatsAreEquivalent(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := filled(t, raise(store.VersionOfV2, 0))
		for _, c := range drawTree(r) {
			apply(t, s, s.Index()+1, 1000, c) // or not, if a file is in the way
		}
		older := snapshot(t, s.View())
		apply(t, s, s.Index()+1, 1000, raise(store.VersionOfLimits, 0))
		newer := snapshot(t, s.View())
		revived := restore(t, newer)
		if got := snapshot(t, revived.View()); !bytes.Equal(got, newer) {
			r.Fatal("format 3 came back as another state")
		}
		if got, want := listing(t, revived), listing(t, s); got != want {
			r.Fatalf("format 3 came back as\n%s\nwant\n%s", got, want)
		}
		revived = restore(t, older)
		if got := snapshot(t, revived.View()); !bytes.Equal(got, older) {
			r.Fatal("format 2 came back as another state")
		}
		apply(t, revived, s.Index(), 1000, raise(store.VersionOfLimits, 0))
		if got := snapshot(t, revived.View()); !bytes.Equal(got, newer) {
			r.Fatal("what came back from format 2 is not what came back from format 3")
		}
	})
}

// deep returns a store with keys as deep as they could be before there was a limit.
func deep(t *testing.T, keys, components int) (s *store.Store, paths []string) {
	s = filled(t, raise(store.VersionOfLimits, 0), configure(0))
	for i := range keys {
		path := "/" + string(rune('a'+i)) + strings.Repeat("/x", components-1)
		apply(t, s, s.Index()+1, 0, set(path, "1"))
		paths = append(paths, path)
	}
	return s, paths
}

// What deep keys cost, on disk and in memory, follows from how long they are, not from the paths of all
// the directories above them: those of this test have 6.8 MB.
func TestDeepKeysCostWhatTheyAdd(t *testing.T) {
	const keys, components = 3, 1500
	s, paths := deep(t, keys, components)
	data := snapshot(t, s.View())
	if most := 20 * keys * components; len(data) > most {
		t.Errorf("the snapshot has %d bytes, want at most %d", len(data), most)
	}
	for name, s := range map[string]*store.Store{"written": s, "restored": restore(t, data)} {
		for _, path := range paths {
			if held, most := heldByDirectories(t, s, path), 4*len(path); held > most {
				t.Errorf("%s: the directories of a key of %d bytes hold %d, want at most %d", name, len(path), held, most)
			}
		}
	}
}

// heldByDirectories returns how many bytes the paths of the directories of a key have, those that they
// share counted once.
func heldByDirectories(t *testing.T, s *store.Store, path string) (sum int) {
	t.Helper()
	longest := make(map[*byte]int)
	for dir := tree.Parent(path); dir != "/"; dir = tree.Parent(dir) {
		node, f := s.Get(dir)
		if f != nil || node.Path != dir {
			t.Fatalf("%.100q: %v, %v", dir, node, f)
		}
		start := unsafe.StringData(node.Path)
		if longest[start] = max(longest[start], len(dir)); longest[start] > 2*len(dir) {
			t.Errorf("a path of %d bytes keeps one of %d in memory", len(dir), longest[start])
		}
	}
	for _, n := range longest {
		sum += n
	}
	return sum
}

// What a peer sends need not be what a program has written.
func TestRestoreRefusesInvalidPrefixes(t *testing.T) {
	snapshotOf := func(format uint32, nodes []*storepb.Node, events ...*storepb.Event) []byte {
		data := stream(t, &storepb.SnapshotHeader{FormatVersion: format, Index: 9, Sections: 5})
		add := func(name string, messages ...proto.Message) {
			data = append(data, section(t, &storepb.Section{Name: name, Count: uint64(len(messages))}, messages...)...)
		}
		add("cluster", &storepb.Cluster{Version: 5})
		add("members")
		add("tree", &storepb.Tree{HistoryLimit: 9})
		add("nodes", messages(nodes)...)
		add("events", messages(events)...)
		return data
	}
	node := func(shared uint32, rest, value string) *storepb.Node {
		return &storepb.Node{SharedPrefix: shared, Path: rest, Value: []byte(value), CreatedIndex: 1, ModifiedIndex: 1}
	}
	directory := func(path string) *storepb.Node { return &storepb.Node{Path: path, Dir: true, ModifiedIndex: 1} }

	good := []*storepb.Node{directory("/d"), node(2, "-e", "1"), node(2, "/é", ""), node(3, "ê", "2")}
	s := restore(t, snapshotOf(3, good))
	if got, want := listing(t, s), "/d/ 0/1\n/d/é=\"\" 1/1\n/d/ê=\"2\" 1/1\n/d-e=\"1\" 1/1"; got != want {
		t.Errorf("a good one comes back as\n%s\nwant\n%s", got, want)
	}
	for name, nodes := range map[string][]*storepb.Node{
		"longer than the path before":  {node(0, "/a", "1"), node(3, "b", "1")},
		"far longer":                   {node(0, "/a", "1"), node(1<<32-1, "b", "1")},
		"before there is a path":       {node(1, "a", "1")},
		"in the middle of a character": {node(0, "/é", "1"), node(2, "語", "1")},
		"of a file without a value":    {node(0, "/é", ""), node(2, "語", "")},
		"all of the path before":       {node(0, "/a", "1"), node(2, "", "1")},
		"nothing added":                {directory("/a"), {SharedPrefix: 2, Dir: true, ModifiedIndex: 1}},
		"longer than any path":         {node(0, "/a"+strings.Repeat("a", 10_000), "1"), node(10_000, strings.Repeat("b", 10_000), "1")},
		"out of order":                 {node(0, "/b", "1"), node(1, "a", "1")},
		"a path that is not clean":     {directory("/d"), node(2, "/", "1")},
		"a path that leads up":         {directory("/d"), node(2, "/..", "1")},
		"no parent":                    {node(0, "/d", "1"), node(2, "e/f", "1")},
		"a parent that is a file":      {node(0, "/d", "1"), node(2, "/f", "1")},
	} {
		if _, err := store.Restore(bytes.NewReader(snapshotOf(3, nodes))); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	for name, data := range map[string][]byte{
		"format 2": snapshotOf(2, good),
		"an event": snapshotOf(3, nil, &storepb.Event{Index: 1, Action: storepb.Action_ACTION_SET, Node: &storepb.Node{Path: "/a", SharedPrefix: 1, ModifiedIndex: 1}}),
	} {
		if _, err := store.Restore(bytes.NewReader(data)); !errors.Is(err, store.ErrNewer) {
			t.Errorf("a prefix in %s: %v", name, err)
		}
	}
}

func messages[M proto.Message](list []M) (all []proto.Message) {
	for _, m := range list {
		all = append(all, m)
	}
	return all
}
