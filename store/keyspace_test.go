package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"etcd/store"
	"etcd/store/mvcc"
	"etcd/store/storepb"
	"etcd/store/tree"
)

func kvPut(key, value string) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Put{Put: &storepb.Put{Key: []byte(key), Value: []byte(value)}}}
}

func kvDelete(key, end string) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_DeleteRange{DeleteRange: &storepb.DeleteRange{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func kvTxn(ops ...*storepb.Op) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Txn{Txn: &storepb.Txn{Success: ops}}}
}

func kvCompact(revision int64) *storepb.Command {
	return &storepb.Command{Kind: &storepb.Command_Compact{Compact: &storepb.Compact{Revision: revision}}}
}

func putOp(key, value string) *storepb.Op {
	return &storepb.Op{Kind: &storepb.Op_Put{Put: kvPut(key, value).GetPut()}}
}

// showKV formats what a command about the keyspace did.
func showKV(out *mvcc.Outcome) string {
	line := fmt.Sprint("revision ", out.Revision)
	if out.Err != nil {
		line += ": " + out.Err.Error()
	}
	if out.Prev != nil {
		line += fmt.Sprintf(" was %q", out.Prev.Value())
	}
	for _, v := range out.Deleted {
		line += fmt.Sprintf(" without %q=%q", v.Key(), v.Value())
	}
	if out.Txn != nil {
		line += fmt.Sprint(" of a transaction with ", len(out.Txn.Steps))
	}
	return line
}

// versioned returns a store with keys, old versions, deletions and a compaction.
func versioned(t testing.TB) *store.Store {
	return filled(t, founded(store.VersionOfV3, 0), set("/a", "1"),
		kvPut("a", "1"), kvPut("a", "2"), kvPut("ab", "\x00\xff"), kvDelete("a", ""), kvTxn(putOp("a", "3"), putOp("b", "")),
		kvCompact(4), kvPut("ab", "4"), kvDelete("b", "c"))
}

func versionsOf(s *store.Store) string {
	var b strings.Builder
	for v := range s.Keys().Versions() {
		fmt.Fprintf(&b, "%q=%q %d.%d/%d #%d\n", v.Key(), v.Value(), v.Mod, v.Sub(), v.Create, v.Count)
	}
	return b.String()
}

func TestKeyspaceInSnapshots(t *testing.T) {
	s := versioned(t)
	const want = `"a"="2" 3.0/2 #2
"a"="" 5.0/0 #0
"a"="3" 6.0/6 #1
"ab"="\x00\xff" 4.0/4 #1
"ab"="4" 7.0/4 #2
"b"="" 6.1/6 #1
"b"="" 8.0/0 #0
`
	if got := versionsOf(s); got != want {
		t.Fatalf("the versions are\n%s\nwant\n%s", got, want)
	}
	before := snapshot(t, s.View())
	for !s.Keys().Freed() {
		s.Keys().Free(1)
	}
	if !bytes.Equal(before, snapshot(t, s.View())) {
		t.Error("the snapshot depends on what was freed")
	}
	again := restore(t, before)
	for i, c := range []*storepb.Command{kvPut("b", "1"), kvCompact(5), kvDelete("\x00", "\x00"), kvCompact(10), kvPut("a", "5"), set("/a", "2")} {
		index := s.Index() + 1
		one, other := apply(t, s, index, 1000, c), apply(t, again, index, 1000, c)
		if show(one) != show(other) || s.Size() != again.Size() {
			t.Fatalf("command %d: %+v, size %d; restored: %+v, size %d", i, one, s.Size(), other, again.Size())
		}
		if !bytes.Equal(snapshot(t, s.View()), snapshot(t, again.View())) {
			t.Fatalf("command %d: the snapshots differ", i)
		}
		again.Keys().Free(2)
	}
	if got := versionsOf(s); got != "\"a\"=\"5\" 11.0/11 #1\n" {
		t.Errorf("there remains\n%s", got)
	}
}

// A snapshot whose versions are not those of any keyspace is refused.
func TestRestoreRefusesInvalidVersions(t *testing.T) {
	header := func(sections uint32) []byte {
		whole := snapshot(t, store.New().View())
		h := stream(t, &storepb.SnapshotHeader{FormatVersion: 2, Sections: 5})
		return append(stream(t, &storepb.SnapshotHeader{FormatVersion: 2, Sections: sections}), whole[len(h):]...)
	}
	keyspace := section(t, &storepb.Section{Name: "keyspace", Count: 1}, &storepb.Keyspace{Revision: 9, Compacted: 3})
	with := func(versions ...proto.Message) []byte {
		return bytes.Join([][]byte{header(7), keyspace, section(t, &storepb.Section{Name: "versions", Count: uint64(len(versions))}, versions...)}, nil)
	}
	at := func(key string, mod int64) *storepb.Version {
		return &storepb.Version{Key: []byte(key), Mod: mod, Create: mod, Count: 1}
	}
	gone := func(key string, mod int64) *storepb.Version { return &storepb.Version{Key: []byte(key), Mod: mod} }
	if _, err := store.Restore(bytes.NewReader(with(at("a", 2), gone("a", 4), at("a", 5), at("b", 9)))); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"no versions":           append(header(6), keyspace...),
		"no keyspace":           append(header(6), section(t, &storepb.Section{Name: "versions"})...),
		"no revision":           append(header(6), section(t, &storepb.Section{Name: "keyspace", Count: 1}, &storepb.Keyspace{})...),
		"an empty key":          with(at("", 2)),
		"too late":              with(at("a", 10)),
		"too early":             with(at("a", 1)),
		"keys out of order":     with(at("b", 2), at("a", 3)),
		"versions out of order": with(at("a", 5), at("a", 4)),
		"twice":                 with(at("a", 5), at("a", 5)),
		"deletion of nothing":   with(gone("a", 5)),
		"compacted deletion":    with(gone("a", 3)),
		"compacted version":     with(at("a", 2), at("a", 3)),
		"created later":         with(&storepb.Version{Key: []byte("a"), Mod: 4, Create: 5, Count: 1}),
		"never written":         with(&storepb.Version{Key: []byte("a"), Mod: 4, Create: 4}),
		"shares too much":       with(at("a", 4), &storepb.Version{Key: []byte("b"), SharedPrefix: 2, Mod: 5, Create: 5, Count: 1}),
		"of a newer version":    with(newer(at("a", 4))),
	} {
		if _, err := store.Restore(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: it is restored", name)
		}
	}
}

// Keys of all APIs share the quota, and what was compacted does not count.
func TestQuotaOfBothKeyspaces(t *testing.T) {
	s := filled(t, founded(store.VersionOfV3, 0), set("/a", strings.Repeat("x", 1000)), kvPut("a", strings.Repeat("x", 1000)))
	apply(t, s, 4, 1000, setQuota(s.Size()+mvcc.Overhead+10))
	index := uint64(4)
	next := func(c *storepb.Command) store.Result {
		index++
		return apply(t, s, index, 1000, c)
	}
	if r := next(kvPut("b", strings.Repeat("x", 10))); !errors.Is(r.KV.Err, mvcc.ErrNoSpace) {
		t.Errorf("a put that is one byte too long: %s", showKV(r.KV))
	}
	if r := next(kvTxn(putOp("b", ""), putOp("c", ""))); !errors.Is(r.KV.Err, mvcc.ErrNoSpace) || s.Keys().Len() != 1 {
		t.Errorf("a transaction that is too long: %s", showKV(r.KV))
	}
	if r := next(kvPut("b", strings.Repeat("x", 9))); r.KV.Err != nil {
		t.Errorf("a put that fits: %s", showKV(r.KV))
	}
	if r := next(set("/b", "1")); r.Failure == nil || r.Failure.Code != tree.NoSpace || r.Failure.Size != s.Size() {
		t.Errorf("a file beside it: %s", show(r))
	}
	if r := next(kvDelete("a", "")); r.KV.Err != nil || len(r.KV.Deleted) != 1 {
		t.Errorf("a deletion: %s", showKV(r.KV))
	}
	if r := next(set("/b", "1")); r.Failure == nil {
		t.Error("before the compaction there is room")
	}
	next(kvCompact(s.Keys().Revision()))
	if r := next(set("/b", "1")); r.Failure != nil {
		t.Errorf("after the compaction: %s", show(r))
	}
	if r := next(kvPut("a", strings.Repeat("x", 800))); r.KV.Err != nil {
		t.Errorf("after the compaction: %s", showKV(r.KV))
	}
	if restored := restore(t, snapshot(t, s.View())); restored.Size() != s.Size() {
		t.Errorf("%d bytes, restored %d", s.Size(), restored.Size())
	}
}

// While users are on nobody gets at the keyspace, which has none of its own yet.
func TestKeyspaceWithUsers(t *testing.T) {
	s := filled(t, founded(store.VersionOfV3, 0), createUser("root", "h"), enable())
	for _, c := range []*storepb.Command{kvPut("a", "1"), kvDelete("a", ""), kvTxn(putOp("a", "1")), kvCompact(1), {Kind: kvPut("a", "1").Kind, Checked: 1}} {
		if r := apply(t, s, s.Index()+1, 1000, c); r.KV != nil || r.Failure == nil || r.Failure.Code != tree.Unauthorized {
			t.Errorf("%v: %+v", c, r)
		}
	}
	data := store.EncodePut([]byte("a"), []byte("1"))
	if r, err := s.Apply(s.Index()+1, 1000, data); err != nil || r.KV != nil || s.Keys().Used() {
		t.Errorf("a plain put: %+v, %v", r, err)
	}
}

func TestRefusedKeyspaceCommands(t *testing.T) {
	deep := &storepb.Txn{}
	for range 20_000 {
		deep = &storepb.Txn{Success: []*storepb.Op{{Kind: &storepb.Op_Txn{Txn: deep}}}}
	}
	txn := func(m *storepb.Txn) *storepb.Command {
		return &storepb.Command{Kind: &storepb.Command_Txn{Txn: m}}
	}
	key := []byte("a")
	for name, c := range map[string]*storepb.Command{
		"a put without a key":          kvPut("", "1"),
		"a deletion without a key":     kvDelete("", "a"),
		"a comparison without a key":   txn(&storepb.Txn{Compare: []*storepb.Compare{{}}}),
		"a comparison of nothing":      txn(&storepb.Txn{Compare: []*storepb.Compare{{Key: key, Target: 6}}}),
		"a relation that is unknown":   txn(&storepb.Txn{Compare: []*storepb.Compare{{Key: key, Relation: 4}}}),
		"an operation of no kind":      kvTxn(&storepb.Op{}),
		"a range without a key":        kvTxn(&storepb.Op{Kind: &storepb.Op_Range{Range: &storepb.Range{}}}),
		"an order that is unknown":     kvTxn(&storepb.Op{Kind: &storepb.Op_Range{Range: &storepb.Range{Key: key, Order: 6}}}),
		"a nested put without a key":   txn(&storepb.Txn{Failure: []*storepb.Op{{Kind: &storepb.Op_Txn{Txn: kvTxn(putOp("", "")).GetTxn()}}}}),
		"a put of a newer version":     kvTxn(&storepb.Op{Kind: &storepb.Op_Put{Put: newer(kvPut("a", "").GetPut())}}),
		"transactions without an end":  txn(deep),
		"a compaction of a newer kind": {Kind: &storepb.Command_Compact{Compact: newer(&storepb.Compact{Revision: 1})}},
	} {
		data, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		s := store.New()
		if _, err := s.Apply(1, 1, data); err == nil || s.Index() != 0 || store.CheckProposal(data) == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := store.CheckProposal(store.Encode(kvTxn(putOp("a", "1")))); err != nil {
		t.Error(err)
	}
}

// A plain put has the bytes that the library gives it, and is applied as what it decodes.
func TestEncodePut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "key")
		value := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
		data := store.EncodePut(key, value)
		if !bytes.Equal(data, store.Encode(kvPut(string(key), string(value)))) {
			t.Fatalf("%x", data)
		}
		s := store.New()
		r, err := s.Apply(1, 1, data)
		clear(data)
		found, _ := s.Keys().Range(&storepb.Range{Key: key})
		if err != nil || r.KV.Revision != 2 || len(found.Versions) != 1 || found.Versions[0].Key() != string(key) || !bytes.Equal(found.Versions[0].Value(), value) {
			t.Fatalf("%+v, %v; then %+v", r, err, found)
		}
	})
}
