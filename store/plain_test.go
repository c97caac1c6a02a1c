package store

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// What is encoded by hand are the bytes that the library makes, and both are read alike.
func TestPlainSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + rapid.StringMatching(`[a-zä]{1,300}(/[a-z]{1,3})?`).Draw(t, "path")
		value := rapid.String().Draw(t, "value")
		want := &storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: path, Value: []byte(value)}}}
		data := EncodeSet(path, value)
		if !bytes.Equal(data, Encode(want)) {
			t.Fatalf("%x, want %x", data, Encode(want))
		}
		c, err := decode(data)
		if err != nil || !proto.Equal(c, want) {
			t.Fatalf("decoded %v, %v; want %v", c, err, want)
		}
		var m storepb.Set
		if _, ok := decodeSet(data, &m); ok != (value != "") || ok && !proto.Equal(&m, want.GetSet()) {
			t.Fatalf("decoded %v, %t; want %v", &m, ok, want.GetSet())
		}
		revision := rapid.Uint64().Draw(t, "revision")
		if checked, ok := decodeSet(Checked(data, revision), &m); ok != (value != "") || ok && (checked != revision || !proto.Equal(&m, want.GetSet())) {
			t.Fatalf("decoded %v, checked with %d, %t; want %v, %d", &m, checked, ok, want.GetSet(), revision)
		}
	})
}

// What is decoded by hand, the library decodes alike, whatever the bytes are.
func FuzzPlainSet(f *testing.F) {
	f.Add(EncodeSet("/a/b", "value"))
	f.Add(Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: "/a", Value: []byte("v"), Dir: true, TtlNs: new(int64)}}}))
	f.Add(Checked(EncodeSet("/a/b", "value"), 300))
	f.Add([]byte{0x0a, 0x07, 0x0a, 0x02, '/', 'a', 0x1a, 0x01, 'v'})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m storepb.Set
		checked, ok := decodeSet(data, &m)
		if !ok {
			return
		}
		c, err := decode(data)
		if err != nil || !proto.Equal(c.GetSet(), &m) || c.GetChecked() != checked {
			t.Errorf("%x is %v by hand, and %v, %v for the library", data, &m, c, err)
		}
	})
}

// A node that is decoded by hand is the one that the library decodes, and files are decoded by hand.
func TestPlainNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := tree.Node{
			Path:     "/" + rapid.StringMatching(`[a-zä]{1,300}(/[a-z]{1,3})?`).Draw(t, "path"),
			Value:    string(rapid.SliceOf(rapid.Byte()).Draw(t, "value")),
			Created:  rapid.Uint64().Draw(t, "created"),
			Modified: rapid.Uint64().Draw(t, "modified"),
			Deadline: logtime.Time(rapid.SampledFrom([]uint64{0, 1, math.MaxUint64}).Draw(t, "deadline")),
		}
		var m, got storepb.Node
		encodeNode(&m, &want)
		m.SharedPrefix = rapid.Uint32().Draw(t, "shared")
		data, err := encoding.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		if ok := decodePlainNode(data, &got); ok != (want.Value != "") || ok && !proto.Equal(&got, &m) {
			t.Fatalf("decoded %v, %t; want %v", &got, ok, &m)
		}
	})
}

// What is decoded by hand, the library decodes alike, whatever the bytes are.
func FuzzPlainNode(f *testing.F) {
	for _, m := range []*storepb.Node{
		{Path: "/a", Value: []byte("v"), CreatedIndex: 1, ModifiedIndex: 2, Deadline: 3},
		{Path: "b", Value: []byte("v"), CreatedIndex: 1, ModifiedIndex: 2, SharedPrefix: 300},
		{Path: "/a", Dir: true, ModifiedIndex: 2},
	} {
		data, err := encoding.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want storepb.Node
		if !decodePlainNode(data, &got) {
			return
		}
		if err := proto.Unmarshal(data, &want); err != nil || !proto.Equal(&got, &want) {
			t.Errorf("%x is %v by hand, and %v, %v for the library", data, &got, &want, err)
		}
	})
}
