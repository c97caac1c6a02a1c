package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// drawPath draws from few paths, so that commands collide; their names sort
// around the slash. Some are the files of members.
func drawPath(t *rapid.T) string {
	if rapid.IntRange(0, 19).Draw(t, "members' path") == 0 {
		return rapid.SampledFrom([]string{"/_etcd", "/_etcd/machines", "/_etcd/machines/m", "/_etcd/machines/m/x"}).Draw(t, "path")
	}
	path := ""
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a-b", "a0", "b", "_h"}), 0, 4).Draw(t, "names") {
		path += "/" + name
	}
	return max(path, "/")
}

func drawCondition(t *rapid.T) *storepb.Condition {
	if rapid.Bool().Draw(t, "unconditional") {
		return nil
	}
	c := new(storepb.Condition)
	if rapid.Bool().Draw(t, "asks for existence") {
		c.Exist = new(rapid.Bool().Draw(t, "exist"))
	}
	if rapid.IntRange(0, 2).Draw(t, "asks for value") == 0 {
		c.Value = []byte(drawValue(t))
	}
	if rapid.IntRange(0, 3).Draw(t, "asks for index") == 0 {
		c.Index = uint64(rapid.IntRange(0, 40).Draw(t, "index"))
	}
	return c
}

func drawValue(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "1", "2", "\xff\x00"}).Draw(t, "value")
}

func drawTTL(t *rapid.T) *int64 {
	if rapid.Bool().Draw(t, "permanent") {
		return nil
	}
	return new(rapid.OneOf(rapid.Int64Range(0, 9), rapid.Just(int64(math.MaxInt64))).Draw(t, "ttl"))
}

func drawMember(t *rapid.T) *storepb.Member {
	return &storepb.Member{
		Id:        rapid.Uint64Range(1, 3).Draw(t, "id"),
		Name:      rapid.SampledFrom([]string{"m", "n", "a"}).Draw(t, "name"),
		PeerUrl:   rapid.SampledFrom([]string{"", "http://p"}).Draw(t, "peer"),
		ClientUrl: rapid.SampledFrom([]string{"", "http://c"}).Draw(t, "client"),
	}
}

func drawSet(t *rapid.T) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{
		Path: drawPath(t), Dir: rapid.IntRange(0, 4).Draw(t, "dir") == 0, Value: []byte(drawValue(t)), TtlNs: drawTTL(t),
		Condition: drawCondition(t), Refresh: rapid.IntRange(0, 4).Draw(t, "refresh") == 0,
	}}}
}

func drawCreate(t *rapid.T) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Create{Create: &storepb.Create{
		Path: drawPath(t), Dir: rapid.Bool().Draw(t, "dir"), Value: []byte(drawValue(t)), TtlNs: drawTTL(t),
	}}}
}

func drawDelete(t *rapid.T) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{
		Path: drawPath(t), Dir: rapid.Bool().Draw(t, "dir"), Recursive: rapid.Bool().Draw(t, "recursive"),
		Condition: drawCondition(t),
	}}}
}

func drawMembership(t *rapid.T) *storepb.Command {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return removeMember(rapid.Uint64Range(1, 4).Draw(t, "id"))
	case 1:
		return bootstrap(drawMember(t), rapid.Uint32Range(0, 30).Draw(t, "limit"))
	default:
		return setMember(drawMember(t))
	}
}

// After every command the store equals the model. So does a second store that
// is written to a snapshot and restored again and again.
func TestStoreMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, s, revived := newModel(), store.New(), store.New()
		var index, now uint64

		do := func(t *rapid.T, c *storepb.Command) {
			index += rapid.Uint64Range(1, 2).Draw(t, "gap")
			command := store.Encode(c)
			want := m.apply(index, now, c)
			for _, s := range []*store.Store{s, revived} {
				result, err := s.Apply(index, logtime.Time(now), command)
				if err != nil {
					t.Fatalf("%v: %v", c, err)
				}
				if got := show(result); got != want {
					t.Fatalf("%v\n got: %s\nwant: %s", c, got, want)
				}
			}
		}
		drawn := func(draw func(t *rapid.T) *storepb.Command) func(t *rapid.T) {
			return func(t *rapid.T) { do(t, draw(t)) }
		}
		t.Repeat(map[string]func(*rapid.T){
			"set":       drawn(drawSet),
			"set more":  drawn(drawSet),
			"set again": drawn(drawSet),
			"create":    drawn(drawCreate),
			"delete":    drawn(drawDelete),
			"members":   drawn(drawMembership),
			"quota": func(t *rapid.T) {
				do(t, setQuota(rapid.OneOf(rapid.Uint64Range(1, 2000), rapid.Just(uint64(math.MaxUint64))).Draw(t, "quota")))
			},
			"configure": func(t *rapid.T) { do(t, configure(rapid.Uint32Range(0, 30).Draw(t, "limit"))) },
			"expire anything": func(t *rapid.T) {
				do(t, expire(drawPath(t), uint64(rapid.IntRange(0, 20).Draw(t, "modified")), uint64(rapid.IntRange(0, 20).Draw(t, "deadline"))))
			},
			"compare right": func(t *rapid.T) {
				path := drawPath(t)
				c := &storepb.Condition{}
				if node, _ := m.walk(path); node != nil {
					c.Value, c.Index = []byte(node.value), node.modified
				}
				if rapid.Bool().Draw(t, "delete") {
					do(t, &storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: path, Condition: c}}})
				} else {
					do(t, &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: path, Value: []byte("3"), Condition: c}}})
				}
			},
			"pass time": func(t *rapid.T) {
				now += rapid.SampledFrom([]uint64{1, 5, math.MaxInt64, math.MaxUint64 - 2}).Draw(t, "nanoseconds") // the last one: back by 3
				limit := rapid.IntRange(0, 3).Draw(t, "limit")
				commands := s.Expired(logtime.Time(now), limit)
				if len(commands) > limit {
					t.Fatalf("%d commands over the limit of %d", len(commands), limit)
				}
				for _, command := range commands {
					index++
					m.time = max(m.time, now)
					result, err := s.Apply(index, logtime.Time(now), command)
					if err != nil {
						t.Fatal(err)
					}
					again, err := revived.Apply(index, logtime.Time(now), command)
					if err != nil || show(again) != show(result) {
						t.Fatalf("%s, then %s, %v", show(result), show(again), err)
					}
					if result.Event != nil {
						path := result.Event.Prev.Path
						node, _ := m.walk(path)
						if node == nil || node.deadline > now {
							t.Fatalf("%s expired early", path)
						}
						if next := m.nextDeadline(); next != node.deadline {
							t.Fatalf("%s expired at %d before another one at %d", path, node.deadline, next)
						}
						if got, want := show(result), m.apply(index, now, expire(path, node.modified, node.deadline)); got != want {
							t.Fatalf("\n got: %s\nwant: %s", got, want)
						}
					}
				}
			},
			"revive": func(t *rapid.T) {
				var out bytes.Buffer
				if _, err := revived.View().WriteTo(&out); err != nil {
					t.Fatal(err)
				}
				var err error
				if revived, err = store.Restore(&out); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				compareToModel(t, s, m)
				var one, other bytes.Buffer
				for out, s := range map[*bytes.Buffer]*store.Store{&one: s, &other: revived} {
					if _, err := s.View().WriteTo(out); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(one.Bytes(), other.Bytes()) {
					t.Fatal("the snapshots differ")
				}
			},
		})
		if s.NextDeadline() != revived.NextDeadline() {
			t.Fatalf("deadlines %d and %d", s.NextDeadline(), revived.NextDeadline())
		}
		if got, want := s.Expired(math.MaxUint64, 100), revived.Expired(math.MaxUint64, 100); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatal("other keys expire after a restore")
		}
	})
}

func compareToModel(t *rapid.T, s *store.Store, m *model) {
	var lines []string
	var walk func(path string)
	view, page := s.View(), rapid.IntRange(1, 3).Draw(t, "page")
	walk = func(path string) {
		all := s.Children(path, "", math.MaxInt)
		if first := s.Children(path, "", page); !slices.Equal(first, all[:min(page, len(all))]) {
			t.Fatalf("the first children of %s are %v, all are %v", path, first, all)
		}
		var paged []*tree.Node
		for last := ""; ; last = paged[len(paged)-1].Path {
			more := view.Children(path, last, page)
			if len(more) == 0 {
				break
			}
			paged = append(paged, more...)
		}
		if !slices.Equal(paged, all) {
			t.Fatalf("the children of %s in pages of %d are %v, want %v", path, page, paged, all)
		}
		for _, n := range all {
			lines = append(lines, showNode(n))
			if n.Dir {
				walk(n.Path)
			}
		}
	}
	walk("/")
	if got, want := strings.Join(lines, "\n"), m.listing(); got != want {
		t.Fatalf("the tree is\n%s\nwant\n%s", got, want)
	}
	if got, want := uint64(s.NextDeadline()), m.nextDeadline(); got != want {
		t.Fatalf("the next deadline is %d, want %d", got, want)
	}
	h := s.History()
	from := uint64(rapid.IntRange(0, 60).Draw(t, "from"))
	if got, want := events(h, from), m.eventsFrom(from); got != want {
		t.Fatalf("the history from %d is\n%s\nwant\n%s", from, got, want)
	}
	if h.Len() != len(m.events) || h.Cleared() != m.cleared || s.HistoryLimit() != m.limit {
		t.Fatalf("%d events, cleared %d, limit %d; want %d, %d, %d",
			h.Len(), h.Cleared(), s.HistoryLimit(), len(m.events), m.cleared, m.limit)
	}
	members := ""
	for _, member := range s.Members() {
		members += fmt.Sprintf("%d %s %s %s\n", member.ID, member.Name, member.PeerURL, member.ClientURL)
	}
	if got, want := s.Removed(), slices.Sorted(maps.Keys(m.removed)); !slices.Equal(got, want) {
		t.Fatalf("the removed members are %v, want %v", got, want)
	}
	if want := m.memberList(); members != want {
		t.Fatalf("the members are\n%swant\n%s", members, want)
	}
	path := drawPath(t)
	node, f := s.Get(path)
	want, why := m.walk(path)
	switch {
	case want == nil && show(store.Result{Outcome: tree.Outcome{Failure: f}}) != why:
		t.Fatalf("Get(%q) fails with %v, want %s", path, f, why)
	case want != nil && showNode(node) != want.text(path):
		t.Fatalf("Get(%q) gives %s, want %s", path, showNode(node), want.text(path))
	}
}
