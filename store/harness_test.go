package store_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// A command is built by one of these and altered by options.

type option func(*storepb.Command)

func set(path, value string, options ...option) *storepb.Command {
	return build(&storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: path, Value: []byte(value)}}}, options)
}

func create(parent, value string, options ...option) *storepb.Command {
	return build(&storepb.Command{Kind: &storepb.Command_Create{Create: &storepb.Create{Path: parent, Value: []byte(value)}}}, options)
}

func remove(path string, options ...option) *storepb.Command {
	return build(&storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: path}}}, options)
}

func expire(path string, modified, deadline uint64) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Expire{Expire: &storepb.Expire{
		Path: path, ModifiedIndex: modified, Deadline: deadline,
	}}}
}

func configure(limit uint32) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Configure{Configure: &storepb.Configure{HistoryLimit: limit}}}
}

func setQuota(bytes uint64) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_SetQuota{SetQuota: &storepb.SetQuota{Bytes: bytes}}}
}

func bootstrap(m *storepb.Member, limit uint32) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Bootstrap{Bootstrap: &storepb.Bootstrap{Member: m, HistoryLimit: limit}}}
}

func setMember(m *storepb.Member) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_SetMember{SetMember: &storepb.SetMember{Member: m}}}
}

func removeMember(id uint64) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_RemoveMember{RemoveMember: &storepb.RemoveMember{Id: id}}}
}

func member(id uint64, name string) *storepb.Member {
	return &storepb.Member{Id: id, Name: name, PeerUrl: "http://" + name + ":7001", ClientUrl: "http://" + name + ":4001"}
}

func build(c *storepb.Command, options []option) *storepb.Command {
	for _, o := range options {
		o(c)
	}
	return c
}

func dir(c *storepb.Command) {
	switch {
	case c.GetSet() != nil:
		c.GetSet().Dir = true
	case c.GetCreate() != nil:
		c.GetCreate().Dir = true
	default:
		c.GetDelete().Dir = true
	}
}

func recursive(c *storepb.Command) { c.GetDelete().Recursive = true }

func refresh(c *storepb.Command) { c.GetSet().Refresh = true }

func ttl(nanos int64) option {
	return func(c *storepb.Command) {
		if c.GetSet() != nil {
			c.GetSet().TtlNs = &nanos
		} else {
			c.GetCreate().TtlNs = &nanos
		}
	}
}

func condition(c *storepb.Command) *storepb.Condition {
	if d := c.GetDelete(); d != nil {
		if d.Condition == nil {
			d.Condition = new(storepb.Condition)
		}
		return d.Condition
	}
	if s := c.GetSet(); s.Condition == nil {
		s.Condition = new(storepb.Condition)
	}
	return c.GetSet().Condition
}

func exist(c *storepb.Command)   { condition(c).Exist = new(true) }
func missing(c *storepb.Command) { condition(c).Exist = new(false) }

func prevValue(value string) option {
	return func(c *storepb.Command) { condition(c).Value = []byte(value) }
}

func prevIndex(index uint64) option {
	return func(c *storepb.Command) { condition(c).Index = index }
}

// apply applies a command that has to be understood.
func apply(t testing.TB, s *store.Store, index uint64, now logtime.Time, c *storepb.Command) store.Result {
	t.Helper()
	result, err := s.Apply(index, now, store.Encode(c))
	if err != nil {
		t.Fatalf("command %d was not understood: %v", index, err)
	}
	if result.Index != index || s.Index() != index {
		t.Fatalf("command %d gave a result of index %d and a store of index %d", index, result.Index, s.Index())
	}
	return result
}

// filled returns a store to which the commands were applied from index 1 on.
func filled(t testing.TB, commands ...*storepb.Command) *store.Store {
	t.Helper()
	s := store.New()
	for i, c := range commands {
		if result := apply(t, s, uint64(i+1), 1000, c); result.Failure != nil {
			t.Fatalf("command %d: %v", i+1, result.Failure)
		}
	}
	return s
}

// show describes a result in one line:
//
//	set /a="new" 1/4 @90 was /a="old" 1/3
//
// means created at 1, modified at 4, with the deadline 90. "quietly" marks an
// event that is not published.
func show(r store.Result) string {
	switch {
	case r.KV != nil:
		return showKV(r.KV)
	case r.Failure != nil && r.Event != nil:
		return "both a failure and an event"
	case r.Failure != nil:
		line := fmt.Sprintf("%d %s", int(r.Failure.Code), r.Failure.Path)
		if r.Failure.Node != nil {
			line += " because of " + showNode(r.Failure.Node)
		}
		return line
	case r.Event == nil:
		return "nothing"
	}
	line := showEvent(r.Event)
	if !r.Published {
		line = "quietly " + line
	}
	return line
}

func showEvent(e *tree.Event) string {
	line := e.Action.String() + " " + showNode(e.Node)
	if e.Index != e.Node.Modified {
		line = fmt.Sprintf("[%d] %s", e.Index, line)
	}
	if e.Prev != nil {
		line += " was " + showNode(e.Prev)
	}
	return line
}

func showNode(n *tree.Node) string {
	line := n.Path
	switch {
	case n.Dir && n.Value != "":
		line += " is a directory with a value"
	case n.Dir:
		line += "/"
	default:
		line += fmt.Sprintf("=%q", n.Value)
	}
	line += fmt.Sprintf(" %d/%d", n.Created, n.Modified)
	if n.Deadline != 0 {
		line += fmt.Sprintf(" @%d", n.Deadline)
	}
	return line
}

// listing describes the whole tree through Children and Get, one node per line.
func listing(t testing.TB, s *store.Store) string {
	t.Helper()
	var lines []string
	var walk func(path string)
	walk = func(path string) {
		for _, n := range s.Children(path, "", math.MaxInt) {
			if got, f := s.Get(n.Path); f != nil || got != n {
				t.Fatalf("%s is listed, but Get gives %v, %v", n.Path, got, f)
			}
			lines = append(lines, showNode(n))
			if n.Dir {
				walk(n.Path)
			}
		}
	}
	walk("/")
	return strings.Join(lines, "\n")
}

// events describes a history, one event per line.
func events(h tree.History, from uint64) string {
	var lines []string
	for e := range h.From(from) {
		lines = append(lines, showEvent(e))
	}
	return strings.Join(lines, "\n")
}

// snapshot returns the bytes of a snapshot.
func snapshot(t testing.TB, sn *store.View) []byte {
	t.Helper()
	var out bytes.Buffer
	n, err := sn.WriteTo(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(out.Len()) {
		t.Fatalf("WriteTo reports %d bytes and wrote %d", n, out.Len())
	}
	return out.Bytes()
}

func restore(t testing.TB, data []byte) *store.Store {
	t.Helper()
	s, err := store.Restore(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
