package tree

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"etcd/store/storepb"
)

// archive is a tree with a short history, and all events that it has made.
type archive struct {
	*Tree
	index uint64
	all   []*Event
}

func newArchive(limit int) *archive {
	a := &archive{Tree: New()}
	a.SetHistoryLimit(limit)
	return a
}

func (a *archive) keep(o Outcome) {
	if o.Published {
		a.all = append(a.all, o.Event)
	}
}

func (a *archive) set(path string, edit ...func(*storepb.Set)) {
	a.index++
	m := &storepb.Set{Path: path, Value: []byte("v")}
	for _, e := range edit {
		e(m)
	}
	a.keep(a.Set(a.index, 0, m))
}

func (a *archive) remove(path string) {
	a.index++
	a.keep(a.Delete(a.index, &storepb.Delete{Path: path, Recursive: true}))
}

func asDir(m *storepb.Set) { m.Dir, m.Value = true, nil }

// renew is for a directory that exists.
func renew(m *storepb.Set) {
	asDir(m)
	m.TtlNs, m.Condition = new(int64(1000)), &storepb.Condition{Exist: new(true)}
}

func refresh(m *storepb.Set) {
	m.Refresh, m.Value, m.Condition = true, nil, &storepb.Condition{Exist: new(true)}
}

// concerns is the rule by which a watch of a path gets an event, as plain as it can be.
func concerns(e *Event, path string, recursive bool) bool {
	changed := e.Node.Path
	switch {
	case changed == path:
		return true
	case path == "/" || strings.HasPrefix(changed, path+"/"):
		return recursive
	case strings.HasPrefix(path, changed+"/"):
		return e.Prev != nil && e.Prev.Dir && (e.Action == ActionDelete || e.Action == ActionExpire)
	}
	return false
}

// wanted returns the indexes of the events from since on that a watch wants.
func (a *archive) wanted(path string, recursive bool, since uint64) []uint64 {
	var wanted []uint64
	for _, e := range a.all {
		if e.Index >= since && concerns(e, path, recursive) {
			wanted = append(wanted, e.Index)
		}
	}
	return wanted
}

// reload replaces the tree by one that was restored from it.
func (a *archive) reload(t *rapid.T) {
	view := a.View()
	l, err := NewLoader(a.index, view.HistoryLimit(), view.History().Cleared())
	if err != nil {
		t.Fatal(err)
	}
	for node := range view.Nodes() {
		err = errors.Join(err, l.Node(node))
	}
	for e := range view.History().From(0) {
		err = errors.Join(err, l.Event(*e))
	}
	if err != nil {
		t.Fatal(err)
	}
	a.Tree = l.Tree()
}

func drawWatched(t *rapid.T) string {
	path := ""
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a-", "b"}), 0, 3).Draw(t, "names") {
		path += "/" + name
	}
	return max(path, "/")
}

// drawWatch draws a watch that wants more than the history has, and asks for where it may begin.
func (a *archive) drawWatch(t *rapid.T) (path string, recursive bool, since, first uint64, ok bool) {
	path, recursive = drawWatched(t), rapid.Bool().Draw(t, "recursive")
	since = rapid.Uint64Range(1, max(1, a.History().Cleared())).Draw(t, "since")
	first, ok = a.FirstChange(path, recursive, since)
	return path, recursive, since, first, ok
}

// A watch that begins at the first change misses nothing, whatever was removed, restored or forgotten.
func TestFirstChangeMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newArchive(rapid.SampledFrom([]int{0, 1, 3, 10}).Draw(t, "limit"))
		t.Repeat(map[string]func(*rapid.T){
			"set":     func(t *rapid.T) { a.set(drawWatched(t)) },
			"mkdir":   func(t *rapid.T) { a.set(drawWatched(t), asDir) },
			"renew":   func(t *rapid.T) { a.set(drawWatched(t), renew) },
			"refresh": func(t *rapid.T) { a.set(drawWatched(t), refresh) },
			"remove":  func(t *rapid.T) { a.remove(drawWatched(t)) },
			"restore": a.reload,
			"forget": func(t *rapid.T) {
				if len(a.traces.at) == 0 {
					t.Skip("there is no trace")
				}
				a.traces.forgetOldest()
			},
			"": func(t *rapid.T) {
				path, recursive, since, first, ok := a.drawWatch(t)
				if !ok {
					return
				}
				if cleared := a.History().Cleared(); first <= cleared {
					t.Fatalf("first change is %d, and the history is cleared up to %d", first, cleared)
				}
				for _, index := range a.wanted(path, recursive, since) {
					if index < first {
						t.Fatalf("%s (recursive: %t) from %d on wants %d, and is to begin at %d", path, recursive, since, index, first)
					}
				}
			},
		})
	})
}

// As long as every change is shown by a node, a watch is refused only if it has missed something.
func TestFirstChangeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newArchive(rapid.SampledFrom([]int{1, 3, 10}).Draw(t, "limit"))
		t.Repeat(map[string]func(*rapid.T){
			"set":   func(t *rapid.T) { a.set(drawWatched(t)) },
			"mkdir": func(t *rapid.T) { a.set(drawWatched(t), asDir) },
			"": func(t *rapid.T) {
				path, recursive, since, first, ok := a.drawWatch(t)
				if since > a.History().Cleared() {
					return
				}
				if node, _ := a.Get(path); node != nil && node.Dir && !recursive {
					return // one that was made for what is in it has no event of its own
				}
				wanted := a.wanted(path, recursive, since)
				missed := len(wanted) > 0 && wanted[0] <= a.History().Cleared()
				if ok == missed {
					t.Fatalf("%s (recursive: %t) from %d on: %t, wants %v, and the history is cleared up to %d",
						path, recursive, since, ok, wanted, a.History().Cleared())
				}
				if ok && len(wanted) > 0 && !recursive && first != wanted[0] {
					t.Fatalf("%s from %d on begins at %d, and wants %v", path, since, first, wanted)
				}
			},
		})
	})
}

// What happens elsewhere, or is in the history, ends no watch.
func TestFirstChangeOfQuietPaths(t *testing.T) {
	const limit = 10
	for _, c := range []struct {
		name      string
		before    func(*archive) // then there is much elsewhere
		after     func(*archive) // and this is in the history
		path      string
		recursive bool
		missed    bool
	}{
		{name: "a file", before: func(a *archive) {}, path: "/quiet/file"},
		{name: "a file that was set", before: func(a *archive) { a.set("/quiet/file") }, path: "/quiet/file", missed: true},
		{name: "a file that was set just now", before: func(a *archive) {},
			after: func(a *archive) { a.set("/quiet/file"); a.set("/quiet/file") }, path: "/quiet/file"},
		{name: "a file that was set then and now", before: func(a *archive) { a.set("/quiet/file") },
			after: func(a *archive) { a.set("/quiet/file") }, path: "/quiet/file", missed: true},
		{name: "a file beside others that went", before: func(a *archive) { a.set("/quiet/x"); a.remove("/quiet/x") }, path: "/quiet/file"},
		{name: "a file that went just now", before: func(a *archive) {},
			after: func(a *archive) { a.set("/quiet/file"); a.remove("/quiet/file") }, path: "/quiet/file"},
		{name: "a file that went and came back just now", before: func(a *archive) {},
			after: func(a *archive) { a.remove("/quiet/file"); a.set("/quiet/file") }, path: "/quiet/file"},
		{name: "a file that went", before: func(a *archive) { a.remove("/quiet/file") }, path: "/quiet/file", missed: true},
		{name: "a file that went and came back", before: func(a *archive) { a.remove("/quiet/file") },
			after: func(a *archive) { a.set("/quiet/file") }, path: "/quiet/file", missed: true},
		{name: "a file that went with its directory", before: func(a *archive) { a.remove("/quiet") }, path: "/quiet/file", missed: true},
		{name: "what is missing", before: func(a *archive) {}, path: "/quiet/missing"},
		{name: "what is missing beside what went", before: func(a *archive) { a.set("/quiet/x"); a.remove("/quiet/x") }, path: "/quiet/missing"},
		{name: "what was missing and is made just now", before: func(a *archive) {},
			after: func(a *archive) { a.set("/quiet/missing") }, path: "/quiet/missing"},
		{name: "a directory", before: func(a *archive) {}, path: "/quiet", recursive: true},
		{name: "a directory in which something was set", before: func(a *archive) { a.set("/quiet/x") }, path: "/quiet", recursive: true, missed: true},
		{name: "a directory in which something was set just now", before: func(a *archive) {},
			after: func(a *archive) { a.set("/quiet/x/y"); a.set("/quiet/file") }, path: "/quiet", recursive: true},
		{name: "a directory from which something went", before: func(a *archive) { a.remove("/quiet/file") }, path: "/quiet", recursive: true, missed: true},
		{name: "a directory whose deadline was changed", before: func(a *archive) { a.set("/quiet", renew) }, path: "/quiet", missed: true},
		{name: "a directory in which a deadline was changed", before: func(a *archive) { a.set("/quiet/dir", renew) },
			path: "/quiet", recursive: true, missed: true},
		{name: "a directory that went and came back", before: func(a *archive) { a.remove("/quiet"); a.set("/quiet/file") },
			path: "/quiet", recursive: true, missed: true},
		{name: "a directory in which something was set before it went just now", before: func(a *archive) { a.set("/quiet/x") },
			after: func(a *archive) { a.remove("/quiet") }, path: "/quiet", recursive: true, missed: true},
		{name: "the root, only", before: func(a *archive) { a.set("/quiet/x") }, path: "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newArchive(limit)
			a.set("/quiet/file")
			a.set("/quiet/dir", asDir)
			since := a.index + 1
			c.before(a)
			for i := range 2 * maxTraces {
				a.set(fmt.Sprintf("/busy/%d/file", i%100))
				a.remove(fmt.Sprintf("/busy/%d/file", i%100))
			}
			if c.after != nil {
				c.after(a)
			}
			first, ok := a.FirstChange(c.path, c.recursive, since)
			if ok == c.missed {
				t.Fatalf("begins at %d: %t", first, ok)
			}
			wanted := append(a.wanted(c.path, c.recursive, since), a.all[len(a.all)-1].Index+1)
			if ok && first != wanted[0] {
				t.Errorf("begins at %d, and wants %v", first, wanted)
			}
		})
	}
}

// Whatever is removed, the traces take a bounded amount of memory, and what is forgotten counts only
// where it was.
func TestTracesAreBounded(t *testing.T) {
	a := newArchive(0)
	a.set("/quiet/file")
	since := a.index + 1
	for i := range 3 * maxTraces {
		a.set(fmt.Sprintf("/busy/%d/x", i))
		a.remove(fmt.Sprintf("/busy/%d", i))
	}
	check := func() {
		t.Helper()
		bytes := 0
		for path := range maps.Keys(a.traces.at) {
			bytes += len(path)
		}
		if n := len(a.traces.at); n > maxTraces || bytes != a.traces.bytes || bytes > maxTraceBytes {
			t.Fatalf("%d traces with paths of %d bytes, which says %d", n, bytes, a.traces.bytes)
		}
	}
	check()
	if _, ok := a.FirstChange("/quiet", true, since); !ok {
		t.Error("the removals elsewhere count for a directory")
	}
	if _, ok := a.FirstChange("/busy/0/x", false, since); ok {
		t.Error("a removal was forgotten and does not count")
	}
	for i := range 100 {
		path := fmt.Sprintf("/long/%d%s", i, strings.Repeat("/long", i*5))
		a.set(path)
		a.remove(path)
		check()
		if _, ok := a.FirstChange(path, false, a.index); ok {
			t.Errorf("the removal of a path of %d bytes does not count", len(path))
		}
	}
}
