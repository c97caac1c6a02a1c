package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// varied returns a store that has some of everything.
func varied(t testing.TB) *store.Store {
	return filled(t,
		bootstrap(member(7, "seven"), 6),
		set("/a", "1", ttl(50)),
		set("/a", "2", exist),
		set("/d", "", dir, ttl(90)),
		create("/d", "\x00\xff"),
		set("/d", "", exist, ttl(99)),
		set("/d-e", "", refresh, missing),
		remove("/a", prevValue("2")),
		set("/b/c", "1"),
	)
}

func TestSnapshotIsDeterministic(t *testing.T) {
	one, other := snapshot(t, varied(t).View()), snapshot(t, varied(t).View())
	if !bytes.Equal(one, other) {
		t.Error("the snapshots differ")
	}
}

func TestRestore(t *testing.T) {
	s := varied(t)
	data := snapshot(t, s.View())
	for name, r := range map[string]io.Reader{
		"at once":       bytes.NewReader(data),
		"byte by byte":  iotest.OneByteReader(bytes.NewReader(data)),
		"end with data": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		again, err := store.Restore(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again.Index() != 9 || again.HistoryLimit() != 6 || again.NextDeadline() != 1099 || len(again.Members()) != 1 {
			t.Errorf("%s: index %d, limit %d, next deadline %d, members %v", name,
				again.Index(), again.HistoryLimit(), again.NextDeadline(), again.Members())
		}
		if got, want := listing(t, again), listing(t, s); got != want {
			t.Errorf("%s: the tree is\n%s\nwant\n%s", name, got, want)
		}
		if got, want := events(again.History(), 0), events(s.History(), 0); got != want || again.History().Cleared() != 3 {
			t.Errorf("%s: cleared %d, the history is\n%s\nwant\n%s", name, again.History().Cleared(), got, want)
		}
	}
}

// The outcome of a command with an earlier time than the one before must be the same on a
// machine that got that one in a snapshot.
func TestTimeDoesNotRunBackwards(t *testing.T) {
	s := store.New()
	apply(t, s, 1, 1000, set("/a", "1"))
	revived := restore(t, snapshot(t, s.View()))
	for _, s := range []*store.Store{s, revived} {
		if got := show(apply(t, s, 2, 400, set("/a", "2", ttl(5)))); got != `set /a="2" 2/2 @1005 was /a="1" 1/1` {
			t.Errorf("set: %s", got)
		}
		if got := show(apply(t, s, 3, 1006, expire("/a", 2, 1005))); got != `expire /a="" 2/3 was /a="2" 2/2 @1005` {
			t.Errorf("expiry: %s", got)
		}
		if s.Time() != 1006 {
			t.Errorf("the time is %d", s.Time())
		}
	}
}

func TestRestoreEmptyStore(t *testing.T) {
	s := restore(t, snapshot(t, store.New().View()))
	if got := listing(t, s); s.Index() != 0 || got != "" || s.HistoryLimit() != tree.DefaultHistoryLimit {
		t.Errorf("index %d, limit %d, tree %q", s.Index(), s.HistoryLimit(), got)
	}
	apply(t, s, 1, 0, set("/a", ""))
}

// A snapshot has the state of its view, whatever the store applies while it is
// written in another goroutine; the race detector watches.
func TestSnapshotDuringWrites(t *testing.T) {
	s := filled(t, configure(500))
	random := uint64(1)
	next := func(n uint64) uint64 {
		random = random*6364136223846793005 + 1442695040888963407
		return random >> 33 % n
	}
	churn := func(from, to uint64) {
		for i := from; i < to; i++ {
			path := fmt.Sprintf("/%d/%d/%d", next(7), next(20), next(20))
			switch next(8) {
			case 0:
				apply(t, s, i, logtime.Time(i), remove(path))
			case 1:
				apply(t, s, i, logtime.Time(i), remove(path[:strings.LastIndexByte(path, '/')], recursive))
			case 2:
				apply(t, s, i, logtime.Time(i), create("/q", "x"))
			default:
				apply(t, s, i, logtime.Time(i), set(path, fmt.Sprint(i), ttl(int64(next(100)))))
			}
		}
	}
	type written struct {
		data []byte
		err  error
	}
	index := uint64(2)
	for range 8 {
		churn(index, index+700)
		index += 700
		want := snapshot(t, s.View())
		sn := s.View()
		results := make(chan written)
		for range 2 {
			go func() {
				var out bytes.Buffer
				_, err := sn.WriteTo(&out)
				results <- written{out.Bytes(), err}
			}()
		}
		churn(index, index+300)
		for range 2 {
			if got := <-results; got.err != nil || !bytes.Equal(got.data, want) {
				t.Fatalf("the snapshot at %d is another one than when it was taken (error: %v)", sn.Index(), got.err)
			}
		}
		if sn.Index() != index-1 {
			t.Fatalf("the snapshot has index %d, want %d", sn.Index(), index-1)
		}
		index += 300
	}
}

func TestWriteToReportsErrors(t *testing.T) {
	s := varied(t)
	for i := range uint64(5000) {
		apply(t, s, 100+i, 0, set(fmt.Sprintf("/x/%d", i), "some value"))
	}
	full := errors.New("disk full")
	for _, room := range []int{0, 1, 1 << 16, 1<<16 + 5} {
		w := &smallDisk{room: room, err: full}
		n, err := s.View().WriteTo(w)
		if !errors.Is(err, full) || n != int64(w.written) {
			t.Errorf("room for %d: %d bytes of %d, %v", room, n, w.written, err)
		}
	}
}

type smallDisk struct {
	room, written int
	err           error
}

func (d *smallDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room-d.written)
	d.written += n
	if n < len(p) {
		return n, d.err
	}
	return n, nil
}

func TestRestoreTruncated(t *testing.T) {
	data := snapshot(t, varied(t).View())
	for n := range data {
		if _, err := store.Restore(bytes.NewReader(data[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := store.Restore(bytes.NewReader(append(data, 0))); err == nil {
		t.Error("something may follow")
	}
	broken := errors.New("broken disk")
	for _, r := range []io.Reader{
		io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)),
		io.MultiReader(bytes.NewReader(data[:50]), iotest.ErrReader(broken)),
	} {
		if _, err := store.Restore(r); !errors.Is(err, broken) {
			t.Errorf("the error is %v", err)
		}
	}
}

// stream returns messages as they are in a snapshot.
func stream(t testing.TB, messages ...proto.Message) []byte {
	t.Helper()
	var data []byte
	for _, m := range messages {
		encoded, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		data = protowire.AppendBytes(data, encoded)
	}
	return data
}

// section is a section of a snapshot, with its checksum.
func section(t testing.TB, head *storepb.Section, messages ...proto.Message) []byte {
	data := stream(t, append([]proto.Message{head}, messages...)...)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// sectioned is a snapshot with sections and the content of one of format 1.
func sectioned(t testing.TB, messages []proto.Message) []byte {
	t.Helper()
	header, rest := messages[0].(*storepb.SnapshotHeader), messages[1:]
	data := stream(t, &storepb.SnapshotHeader{FormatVersion: 2, Index: header.Index, Time: header.Time, Sections: 5})
	add := func(name string, count uint64, messages ...proto.Message) {
		data = append(data, section(t, &storepb.Section{Name: name, Count: count}, messages...)...)
	}
	next := func(count uint64) []proto.Message {
		taken := rest[:min(count, uint64(len(rest)))]
		rest = rest[len(taken):]
		return taken
	}
	add("cluster", 1, &storepb.Cluster{Version: 1, Removed: header.Removed})
	add("members", header.Members, next(header.Members)...)
	add("tree", 1, &storepb.Tree{HistoryLimit: header.HistoryLimit, HistoryCleared: header.HistoryCleared})
	add("nodes", header.Nodes, next(header.Nodes)...)
	add("events", header.Events, next(header.Events)...)
	return append(data, stream(t, rest...)...)
}

func TestSnapshotSections(t *testing.T) {
	s := varied(t)
	whole := snapshot(t, s.View())
	header := stream(t, &storepb.SnapshotHeader{FormatVersion: 2, Index: s.Index(), Time: uint64(s.Time()), Sections: 5})
	if !bytes.HasPrefix(whole, header) {
		t.Fatal("the header is another one")
	}
	with := func(sections uint32, parts ...[]byte) []byte {
		return append(stream(t, &storepb.SnapshotHeader{FormatVersion: 2, Index: s.Index(), Time: uint64(s.Time()), Sections: sections}), bytes.Join(parts, nil)...)
	}
	body := whole[len(header):]
	unknown := func(optional bool) []byte {
		return section(t, &storepb.Section{Name: "later", Count: 2, Optional: optional}, member(1, "a"), &storepb.Tree{HistoryLimit: 5})
	}
	cluster := func(m *storepb.Cluster) []byte { return section(t, &storepb.Section{Name: "cluster", Count: 1}, m) }

	for name, data := range map[string][]byte{
		"an optional section first": with(6, unknown(true), body),
		"an optional section last":  with(6, body, unknown(true)),
	} {
		if got := snapshot(t, restore(t, data).View()); !bytes.Equal(got, whole) {
			t.Errorf("%s: another state comes of it", name)
		}
	}
	for name, test := range map[string]struct {
		data  []byte
		newer string // what the error says; empty if no newer version is the reason
	}{
		"a required section":            {with(6, unknown(false), body), `section "later"`},
		"no sections":                   {with(0), ""},
		"missing section":               {with(5, unknown(true), body), ""},
		"out of order":                  {with(6, cluster(&storepb.Cluster{}), body), ""},
		"two cluster messages":          {with(1, section(t, &storepb.Section{Name: "cluster", Count: 2}, &storepb.Cluster{}, &storepb.Cluster{})), ""},
		"newer version":                 {with(5, cluster(&storepb.Cluster{Version: 9})), "the cluster has version 9, and this program understands 1-6"},
		"field of a newer version":      {with(5, cluster(newer(&storepb.Cluster{Version: 2}))), "fields"},
		"section with an unknown field": {with(5, section(t, newer(&storepb.Section{Name: "cluster", Count: 1}), &storepb.Cluster{})), "fields"},
	} {
		_, err := store.Restore(bytes.NewReader(test.data))
		if err == nil || errors.Is(err, store.ErrNewer) != (test.newer != "") || !strings.Contains(err.Error(), test.newer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for at := len(header); at < len(whole); at += 3 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 4
		if _, err := store.Restore(bytes.NewReader(damaged)); err == nil {
			t.Errorf("byte %d of %d can be another one", at, len(whole))
		}
	}
}

// newer is a message with a field that this version does not know.
func newer[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1))
	return m
}

func TestRestoreRefusesInvalidState(t *testing.T) {
	header := func(members, nodes, events uint64) *storepb.SnapshotHeader {
		return &storepb.SnapshotHeader{
			FormatVersion: 1, Index: 9, HistoryLimit: 2, HistoryCleared: 3, Members: members, Nodes: nodes, Events: events,
		}
	}
	node := func(path string, created, modified uint64) *storepb.Node {
		return &storepb.Node{Path: path, CreatedIndex: created, ModifiedIndex: modified}
	}
	event := func(index uint64) *storepb.Event {
		return &storepb.Event{Index: index, Action: storepb.Action_ACTION_SET, Node: node("/a", 1, index)}
	}
	altered := func(e *storepb.Event, alter func(*storepb.Event)) *storepb.Event {
		alter(e)
		return e
	}
	unknown := newer[proto.Message]
	directory := &storepb.Node{Path: "/d", Dir: true, CreatedIndex: 1, ModifiedIndex: 1}
	good := [][]proto.Message{
		{header(0, 0, 0)},
		{header(2, 0, 0), member(1, "a"), member(2, "a")},
		{header(0, 3, 0), directory, node("/d-e", 1, 2), node("/d/e", 1, 9)},
		{header(0, 0, 2), event(4), event(9)},
	}
	for i, messages := range good {
		data := sectioned(t, messages)
		for format, written := range [][]byte{stream(t, messages...), data} {
			if got := snapshot(t, restore(t, written).View()); !bytes.Equal(got, data) {
				t.Errorf("good stream %d of format %d came back as another", i, format+1)
			}
		}
	}
	bad := map[string][]proto.Message{
		"no version":            {&storepb.SnapshotHeader{}},
		"a newer version":       {&storepb.SnapshotHeader{FormatVersion: store.Snapshots.Max + 1}},
		"newer header":          {unknown(header(0, 0, 0))},
		"cleared in the future": {&storepb.SnapshotHeader{FormatVersion: 1, Index: 5, HistoryCleared: 6}},
		"member without id":     {header(1, 0, 0), member(0, "a")},
		"member of a bad name":  {header(1, 0, 0), member(1, "a/b")},
		"newer member":          {header(1, 0, 0), unknown(member(1, "a"))},
		"members out of order":  {header(2, 0, 0), member(2, "b"), member(1, "a")},
		"member twice":          {header(2, 0, 0), member(1, "a"), member(1, "a")},
		"too many members":      {header(0, 0, 0), member(1, "a")},
		"the root":              {header(0, 1, 0), node("/", 1, 1)},
		"unclean path":          {header(0, 1, 0), node("/a/", 1, 1)},
		"nodes out of order":    {header(0, 2, 0), node("/b", 1, 1), node("/a", 1, 1)},
		"node twice":            {header(0, 2, 0), node("/a", 1, 1), node("/a", 1, 1)},
		"no parent":             {header(0, 1, 0), node("/a/b", 1, 1)},
		"parent is a file":      {header(0, 2, 0), node("/a", 1, 1), node("/a/b", 1, 1)},
		"directory with value":  {header(0, 1, 0), &storepb.Node{Path: "/a", Dir: true, Value: []byte("1")}},
		"created after":         {header(0, 1, 0), node("/a", 2, 1)},
		"node in the future":    {header(0, 1, 0), node("/a", 1, 10)},
		"newer node":            {header(0, 1, 0), unknown(node("/a", 1, 1))},
		"events out of order":   {header(0, 0, 2), event(5), event(4)},
		"event twice":           {header(0, 0, 2), event(5), event(5)},
		"event of the past":     {header(0, 0, 1), event(3)},
		"event of the future":   {header(0, 0, 1), event(10)},
		"over the limit":        {header(0, 0, 3), event(4), event(5), event(6)},
		"newer event":           {header(0, 0, 1), unknown(event(4))},
		"no action":             {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Action = 0 })},
		"unknown action":        {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Action = 8 })},
		"wrapped action":        {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Action = 257 })},
		"negative action":       {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Action = -255 })},
		"no node":               {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Node = nil })},
		"another index":         {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Node.ModifiedIndex = 3 })},
		"bad event path":        {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Node.Path = "a" })},
		"bad previous node":     {header(0, 0, 1), altered(event(4), func(e *storepb.Event) { e.Prev = node("", 2, 1) })},
	}
	for name, messages := range bad {
		if _, err := store.Restore(bytes.NewReader(stream(t, messages...))); err == nil {
			t.Errorf("%s: restored", name)
		}
		if messages[0].(*storepb.SnapshotHeader).FormatVersion != 1 || name == "newer header" {
			continue
		}
		if _, err := store.Restore(bytes.NewReader(sectioned(t, messages))); err == nil {
			t.Errorf("%s, in sections: restored", name)
		}
	}
	large := protowire.AppendVarint(nil, 1<<40)
	if _, err := store.Restore(bytes.NewReader(large)); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a message of a terabyte: %v", err)
	}
}
