package store_test

import (
	"math"
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

type step struct {
	command *storepb.Command
	want    string
}

// Steps are applied with indexes from 1 on, at time 1000. What v2 answers to
// each of them is recorded from the original.
func TestCommands(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
		tree  []string // in the end
	}{
		{"set replaces a file and makes it new", []step{
			{set("/a", "1"), `set /a="1" 1/1`},
			{set("/a", "2"), `set /a="2" 2/2 was /a="1" 1/1`},
			{set("/a", ""), `set /a="" 3/3 was /a="2" 2/2`},
		}, []string{`/a="" 3/3`}},
		{"set creates permanent parents", []step{
			{set("/a/b/c", "1", ttl(5)), `set /a/b/c="1" 1/1 @1005`},
		}, []string{"/a/ 1/1", "/a/b/ 1/1", `/a/b/c="1" 1/1 @1005`}},
		{"a file cannot have children", []step{
			{set("/f", "1"), `set /f="1" 1/1`},
			{set("/f/a", "x"), `104 /f because of /f="1" 1/1`},
			{set("/f/a/b/c", "x"), `104 /f because of /f="1" 1/1`},
			{set("/f/a", "x", exist), `104 /f because of /f="1" 1/1`},
			{set("/f/a", "x", missing), `104 /f because of /f="1" 1/1`},
			{set("/f/a", "x", prevValue("z")), `104 /f because of /f="1" 1/1`},
			{set("/f/a", "", refresh), `104 /f because of /f="1" 1/1`},
			{create("/f", "x"), `104 /f because of /f="1" 1/1`},
			{create("/f/a", "x"), `104 /f because of /f="1" 1/1`},
			{remove("/f/a"), `104 /f because of /f="1" 1/1`},
			{remove("/f/a", prevValue("z")), `104 /f because of /f="1" 1/1`},
			{remove("/f/a", missing), `104 /f because of /f="1" 1/1`},
		}, []string{`/f="1" 1/1`}},
		{"a refused set creates nothing", []step{
			{set("/d/f", "1"), `set /d/f="1" 1/1`},
			{set("/d/f/x/y", "1"), `104 /d/f because of /d/f="1" 1/1`},
			{set("/e/x", "1", exist), "100 /e"},
			{set("/e/x", "1", prevIndex(1)), "100 /e"},
		}, []string{"/d/ 1/1", `/d/f="1" 1/1`}},
		{"directories are created on request", []step{
			{set("/d", "ignored", dir), "set /d/ 1/1"},
			{set("/d", "", dir), "102 /d because of /d/ 1/1"},
			{set("/d", "x"), "102 /d because of /d/ 1/1"},
			{set("/d", ""), "102 /d because of /d/ 1/1"},
			{set("/d/a", "1"), `set /d/a="1" 5/5`},
		}, []string{"/d/ 1/1", `/d/a="1" 5/5`}},
		{"a directory replaces a file", []step{
			{set("/f", "1", ttl(9)), `set /f="1" 1/1 @1009`},
			{set("/f", "", dir), `set /f/ 2/2 was /f="1" 1/1 @1009`},
			{set("/f/x", "1"), `set /f/x="1" 3/3`},
		}, []string{"/f/ 2/2", `/f/x="1" 3/3`}},
		{"the root is read only", []step{
			{set("/", "x"), "107 /"},
			{set("/", "", dir), "107 /"},
			{set("/", "x", exist), "107 /"},
			{set("/", "x", missing), "107 /"},
			{set("/", "x", prevValue("a")), "107 /"},
			{set("/", "", refresh), "107 /"},
			{remove("/"), "107 /"},
			{remove("/", dir), "107 /"},
			{remove("/", recursive), "107 /"},
			{remove("/", missing), "107 /"},
			{remove("/", exist), "107 /"},
			{remove("/", prevValue("x")), "102 / because of // 0/0"},
			{remove("/", prevIndex(1)), "102 / because of // 0/0"},
			{expire("/", 0, 0), "nothing"},
		}, nil},
		{"create needs a missing node", []step{
			{set("/a", "1", missing), `create /a="1" 1/1`},
			{set("/a", "2", missing), `105 /a because of /a="1" 1/1`},
			{set("/d/e", "", dir, missing), "create /d/e/ 3/3"},
			{set("/d/e", "", dir, missing), "105 /d/e because of /d/e/ 3/3"},
			{set("/d", "x", missing), "105 /d because of /d/ 3/3"},
			{set("/a", "3", missing, prevValue("1")), `105 /a because of /a="1" 1/1`},
			{set("/b", "3", missing, prevValue("1"), prevIndex(9)), `create /b="3" 7/7`},
			{set("/c", "4", missing, refresh), `create /c="4" 8/8`},
			{set("/c", "4", missing, refresh), `105 /c because of /c="4" 8/8`},
		}, []string{`/a="1" 1/1`, `/b="3" 7/7`, `/c="4" 8/8`, "/d/ 3/3", "/d/e/ 3/3"}},
		{"update keeps the created index", []step{
			{set("/a", "1", exist), "100 /a"},
			{set("/x/y/z", "1", exist), "100 /x"},
			{set("/a", "1", ttl(100)), `set /a="1" 3/3 @1100`},
			{set("/a", "2", exist), `update /a="2" 3/4 was /a="1" 3/3 @1100`},
			{set("/a", "", exist, ttl(5)), `update /a="" 3/5 @1005 was /a="2" 3/4`},
			{set("/a", "3", exist, dir), `104 /a because of /a="" 3/5 @1005`},
			{set("/a", "3", exist, dir, prevValue("")), `compareAndSwap /a="3" 3/7 was /a="" 3/5 @1005`},
		}, []string{`/a="3" 3/7`}},
		{"updating a directory changes its deadline only", []step{
			{set("/d", "", dir), "set /d/ 1/1"},
			{set("/d", "", dir, exist), "update /d/ 1/2 was /d/ 1/1"},
			{set("/d", "", dir, exist, ttl(100)), "update /d/ 1/3 @1100 was /d/ 1/1"},
			{set("/d", "x", exist), "102 /d because of /d/ 1/1 @1100"},
			{set("/d", "", exist, refresh, ttl(50)), "quietly update /d/ 1/5 @1050 was /d/ 1/1 @1100"},
			{set("/d", "", exist), "update /d/ 1/6 was /d/ 1/1 @1050"},
			{set("/d", "", exist, prevIndex(1)), "102 /d because of /d/ 1/1"},
		}, []string{"/d/ 1/1"}},
		{"compare and swap", []step{
			{set("/a", "one"), `set /a="one" 1/1`},
			{set("/a", "x", prevValue("two")), `101 /a because of /a="one" 1/1`},
			{set("/a", "x", prevIndex(3)), `101 /a because of /a="one" 1/1`},
			{set("/a", "x", prevValue("one"), prevIndex(3)), `101 /a because of /a="one" 1/1`},
			{set("/a", "x", prevValue("two"), prevIndex(1)), `101 /a because of /a="one" 1/1`},
			{set("/a", "x", prevValue("")), `101 /a because of /a="one" 1/1`},
			{set("/a", "two", prevValue("one")), `compareAndSwap /a="two" 1/7 was /a="one" 1/1`},
			{set("/a", "", prevIndex(7)), `compareAndSwap /a="" 1/8 was /a="two" 1/7`},
			{set("/a", "3", prevValue(""), prevIndex(8), ttl(1)), `compareAndSwap /a="3" 1/9 @1001 was /a="" 1/8`},
			{set("/a", "4", prevValue("3"), exist), `compareAndSwap /a="4" 1/10 was /a="3" 1/9 @1001`},
			{set("/a", "5", prevValue("4"), dir), `compareAndSwap /a="5" 1/11 was /a="4" 1/10`},
			{set("/b", "x", prevValue("a")), "100 /b"},
			{set("/b/c", "x", prevIndex(3), exist), "100 /b"},
			{set("/d", "", dir), "set /d/ 14/14"},
			{set("/d", "x", prevValue("a")), "102 /d because of /d/ 14/14"},
			{set("/d", "x", prevIndex(14)), "102 /d because of /d/ 14/14"},
		}, []string{`/a="5" 1/11`, "/d/ 14/14"}},
		{"refresh keeps the value and is not published", []step{
			{set("/a", "bar", ttl(50)), `set /a="bar" 1/1 @1050`},
			{set("/a", "ignored", refresh, exist, ttl(100)), `quietly update /a="bar" 1/2 @1100 was /a="bar" 1/1 @1050`},
			{set("/a", "", refresh, ttl(100)), `quietly set /a="bar" 3/3 @1100 was /a="bar" 1/2 @1100`},
			{set("/a", "", refresh, prevValue("bar")), `quietly compareAndSwap /a="bar" 3/4 was /a="bar" 3/3 @1100`},
			{set("/a", "", refresh, prevValue("no")), `101 /a because of /a="bar" 3/4`},
			{set("/b", "", refresh, ttl(100)), "100 /b"},
			{set("/b/c", "", refresh, exist, ttl(100)), "100 /b"},
			{set("/b", "", refresh, dir), "100 /b"},
			{set("/d", "", dir), "set /d/ 9/9"},
			{set("/d", "", refresh, ttl(100)), "102 /d because of /d/ 9/9"},
		}, []string{`/a="bar" 3/4`, "/d/ 9/9"}},
		{"time to live", []step{
			{set("/a", "1", ttl(0)), `set /a="1" 1/1 @1000`},
			{set("/a", "2"), `set /a="2" 2/2 was /a="1" 1/1 @1000`},
			{set("/d", "", dir, ttl(7)), "set /d/ 3/3 @1007"},
			{create("/d", "v", ttl(8)), `create /d/00000000000000000004="v" 4/4 @1008`},
			{set("/l", "", ttl(math.MaxInt64)), `set /l="" 5/5 @9223372036854776807`},
		}, []string{`/a="2" 2/2`, "/d/ 3/3 @1007", `/d/00000000000000000004="v" 4/4 @1008`, `/l="" 5/5 @9223372036854776807`}},
		{"children in order", []step{
			{create("/", "x"), `create /00000000000000000001="x" 1/1`},
			{create("/q/r", "x"), `create /q/r/00000000000000000002="x" 2/2`},
			{create("/q/r", "", dir), `create /q/r/00000000000000000003/ 3/3`},
			{set("/q/r/00000000000000000005", "x"), `set /q/r/00000000000000000005="x" 4/4`},
			{create("/q/r", "y"), `create /q/r/00000000000000000006="y" 5/5`},
		}, []string{
			`/00000000000000000001="x" 1/1`, "/q/ 2/2", "/q/r/ 2/2", `/q/r/00000000000000000002="x" 2/2`,
			"/q/r/00000000000000000003/ 3/3", `/q/r/00000000000000000005="x" 4/4`, `/q/r/00000000000000000006="y" 5/5`,
		}},
		{"delete a file", []step{
			{set("/a", "1", ttl(3)), `set /a="1" 1/1 @1003`},
			{set("/a", "2", exist), `update /a="2" 1/2 was /a="1" 1/1 @1003`},
			{remove("/a"), `delete /a="" 1/3 was /a="2" 1/2`},
			{remove("/a"), "100 /a"},
			{remove("/b/c"), "100 /b"},
			{set("/a", "", ttl(3)), `set /a="" 6/6 @1003`},
			{remove("/a", dir, recursive, exist), `delete /a="" 6/7 was /a="" 6/6 @1003`},
		}, nil},
		{"delete a directory", []step{
			{set("/d/a/b", "1", ttl(3)), `set /d/a/b="1" 1/1 @1003`},
			{set("/d-e", "1"), `set /d-e="1" 2/2`},
			{set("/d0", "1"), `set /d0="1" 3/3`},
			{set("/e", "", dir), "set /e/ 4/4"},
			{remove("/d"), "102 /d because of /d/ 1/1"},
			{remove("/d", dir), "108 /d because of /d/ 1/1"},
			{remove("/d", dir, recursive), "delete /d/ 1/7 was /d/ 1/1"},
			{remove("/e"), "102 /e because of /e/ 4/4"},
			{remove("/e", exist), "102 /e because of /e/ 4/4"},
			{remove("/e", dir), "delete /e/ 4/10 was /e/ 4/4"},
		}, []string{`/d-e="1" 2/2`, `/d0="1" 3/3`}},
		{"compare and delete", []step{
			{set("/a", "one"), `set /a="one" 1/1`},
			{remove("/a", prevValue("two")), `101 /a because of /a="one" 1/1`},
			{remove("/a", prevIndex(2)), `101 /a because of /a="one" 1/1`},
			{remove("/a", prevValue("one"), prevIndex(2)), `101 /a because of /a="one" 1/1`},
			{remove("/a", prevValue("one"), prevIndex(1)), `compareAndDelete /a="" 1/5 was /a="one" 1/1`},
			{remove("/a", prevValue("one")), "100 /a"},
			{set("/d/a", "1"), `set /d/a="1" 7/7`},
			{remove("/d", prevValue("x")), "102 /d because of /d/ 7/7"},
			{remove("/d", prevIndex(7), recursive), "102 /d because of /d/ 7/7"},
			{remove("/d/a", prevIndex(7), exist), `compareAndDelete /d/a="" 7/10 was /d/a="1" 7/7`},
		}, []string{"/d/ 7/7"}},
		{"delete what has to be missing", []step{
			{set("/a", "1"), `set /a="1" 1/1`},
			{remove("/a", missing), `105 /a because of /a="1" 1/1`},
			{remove("/a", missing, prevValue("1")), `105 /a because of /a="1" 1/1`},
			{remove("/b", missing), "100 /b"},
			{remove("/b/c", missing), "100 /b"},
		}, []string{`/a="1" 1/1`}},
		{"expire removes only the node it was proposed for", []step{
			{set("/a", "1", ttl(5)), `set /a="1" 1/1 @1005`},
			{set("/a", "2", ttl(5), exist), `update /a="2" 1/2 @1005 was /a="1" 1/1 @1005`},
			{expire("/a", 1, 1005), "nothing"},
			{expire("/a", 2, 1006), "nothing"},
			{expire("/a/b", 2, 1005), "nothing"},
			{set("/b", "1", ttl(10)), `set /b="1" 6/6 @1019`}, // from 1009 on: time does not run backwards
			{expire("/b", 6, 1019), "nothing"},                // it is 1009
			{remove("/b"), `delete /b="" 6/8 was /b="1" 6/6 @1019`},
			{expire("/a", 2, 1005), `expire /a="" 1/9 was /a="2" 1/2 @1005`},
			{expire("/a", 2, 1005), "nothing"},
		}, nil},
		{"expire a directory with all that is in it", []step{
			{set("/d", "", dir, ttl(5)), "set /d/ 1/1 @1005"},
			{set("/d/a", "1", ttl(3)), `set /d/a="1" 2/2 @1003`},
			{set("/d/b/c", "1"), `set /d/b/c="1" 3/3`},
			{set("/d", "", exist, ttl(9)), "update /d/ 1/4 @1009 was /d/ 1/1 @1005"},
			{expire("/d", 1, 1005), "nothing"},
			{expire("/d", 1, 1009), "expire /d/ 1/6 was /d/ 1/1 @1009"},
			{expire("/d/a", 2, 1003), "nothing"},
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := store.New()
			for i, step := range tt.steps {
				now := logtime.Time(1000)
				if step.command.GetExpire() != nil {
					now = 1009
				}
				result := apply(t, s, uint64(i+1), now, step.command)
				if got := show(result); got != step.want {
					t.Errorf("command %d\n got: %s\nwant: %s", i+1, got, step.want)
				}
				if result.Event != nil && result.Action != result.Event.Action {
					t.Errorf("command %d was to %s and did %s", i+1, result.Action, result.Event.Action)
				}
			}
			if got, want := listing(t, s), strings.Join(tt.tree, "\n"); got != want {
				t.Errorf("the tree is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Refused commands are counted by their intended action.
func TestActionOfRefusedCommand(t *testing.T) {
	tests := []struct {
		command *storepb.Command
		want    tree.Action
	}{
		{set("/d", ""), tree.ActionSet},
		{set("/d", "", refresh), tree.ActionSet},
		{set("/d", "", missing, prevValue("1")), tree.ActionCreate},
		{set("/x", "", exist), tree.ActionUpdate},
		{set("/x", "", exist, prevValue("1")), tree.ActionCompareAndSwap},
		{create("/d/f", ""), tree.ActionCreate},
		{remove("/x"), tree.ActionDelete},
		{remove("/d/f", missing, prevIndex(1)), tree.ActionDelete},
		{remove("/x", prevIndex(1)), tree.ActionCompareAndDelete},
		{expire("/x", 1, 1), tree.ActionExpire},
		{removeMember(9), 0},
		{configure(1), 0},
	}
	s := filled(t, set("/d/f", "1"))
	for i, tt := range tests {
		result := apply(t, s, uint64(i+2), 0, tt.command)
		if result.Event != nil || result.Action != tt.want {
			t.Errorf("command %d: %s, action %s, want %s", i+2, show(result), result.Action, tt.want)
		}
	}
}

// A deadline of 0 would mean never, so a time to live of 0 must not lead to it.
func TestDeadlineIsNeverZero(t *testing.T) {
	s := store.New()
	apply(t, s, 1, 0, set("/a", "", ttl(0)))
	apply(t, s, 2, math.MaxUint64-3, set("/b", "", ttl(4)))
	want := "/a=\"\" 1/1 @1\n/b=\"\" 2/2 @18446744073709551615"
	if got := listing(t, s); got != want {
		t.Errorf("the tree is\n%s\nwant\n%s", got, want)
	}
}

func TestGet(t *testing.T) {
	s := filled(t, set("/d/f", "1"), set("/d/g/h", "2"))
	tests := []struct{ path, want string }{
		{"/", "// 0/0"},
		{"/d", "/d/ 1/1"},
		{"/d/f", `/d/f="1" 1/1`},
		{"/x", "100 /x"},
		{"/x/y/z", "100 /x"},
		{"/d/x/y", "100 /d/x"},
		{"/d/f/x/y", `104 /d/f because of /d/f="1" 1/1`},
	}
	for _, tt := range tests {
		node, f := s.Get(tt.path)
		got := ""
		if f != nil {
			got = show(store.Result{Outcome: tree.Outcome{Failure: f}})
		} else {
			got = showNode(node)
		}
		if got != tt.want {
			t.Errorf("Get(%q) = %s, want %s", tt.path, got, tt.want)
		}
	}
}

// The names are chosen around '/', between whose neighbours '.' and '0' the
// subtrees lie.
func TestChildrenSkipsSubtrees(t *testing.T) {
	s := filled(t,
		set("/d/x/1/2/3", ""), set("/d/x/z", ""), set("/d/x-y/1", ""), set("/d/x.y", ""), set("/d/x0", ""),
		set("/d/x", "", exist), set("/d/_h", ""), set("/d/empty", "", dir), set("/d/é", ""), set("/dd", ""), set("/d-d/x", ""),
	)
	tests := []struct {
		path string
		want []string
	}{
		{"/", []string{"/d", "/d-d", "/dd"}},
		{"/d", []string{"/d/_h", "/d/empty", "/d/x", "/d/x-y", "/d/x.y", "/d/x0", "/d/é"}},
		{"/d/x", []string{"/d/x/1", "/d/x/z"}},
		{"/d/empty", nil},
		{"/dd", nil},
		{"/nothing", nil},
	}
	for _, tt := range tests {
		var got []string
		for _, n := range s.Children(tt.path, "", math.MaxInt) {
			got = append(got, n.Path)
		}
		if strings.Join(got, " ") != strings.Join(tt.want, " ") {
			t.Errorf("Children(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestExpiredOrder(t *testing.T) {
	s := filled(t,
		set("/c", "", ttl(3)), set("/a", "", ttl(5)), set("/b", "", ttl(3)), set("/p", ""), set("/d", "", dir, ttl(1)),
		set("/d/x", "", ttl(2)), set("/e", "", ttl(4)), set("/e", ""), set("/f/g", "", ttl(1)), remove("/f", recursive),
	)
	if got := s.NextDeadline(); got != 1001 {
		t.Errorf("the next deadline is %d, want 1001", got)
	}
	if got := s.Expired(1000, 100); got != nil {
		t.Errorf("%d nodes expire early", len(got))
	}
	if got := len(s.Expired(1005, 2)); got != 2 {
		t.Errorf("%d commands under a limit of 2", got)
	}
	var got []string
	for i, command := range s.Expired(1004, 100) {
		result, err := s.Apply(uint64(100+i), 1004, command)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, show(result))
	}
	want := []string{
		"expire /d/ 5/100 was /d/ 5/5 @1001",
		"nothing", // /d/x went with its directory
		`expire /b="" 3/102 was /b="" 3/3 @1003`,
		`expire /c="" 1/103 was /c="" 1/1 @1003`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := s.NextDeadline(); got != 1005 {
		t.Errorf("the next deadline is %d, want 1005", got)
	}
	apply(t, s, 200, 1004, set("/a", ""))
	if got := s.NextDeadline(); got != 0 {
		t.Errorf("the next deadline is %d, want none", got)
	}
}
