package store

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"etcd/store/storepb"
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
		if ok := decodeSet(data, &m); ok != (value != "") || ok && !proto.Equal(&m, want.GetSet()) {
			t.Fatalf("decoded %v, %t; want %v", &m, ok, want.GetSet())
		}
	})
}

// What is decoded by hand, the library decodes alike, whatever the bytes are.
func FuzzPlainSet(f *testing.F) {
	f.Add(EncodeSet("/a/b", "value"))
	f.Add(Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: &storepb.Set{Path: "/a", Value: []byte("v"), Dir: true, TtlNs: new(int64)}}}))
	f.Add([]byte{0x0a, 0x07, 0x0a, 0x02, '/', 'a', 0x1a, 0x01, 'v'})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m storepb.Set
		if !decodeSet(data, &m) {
			return
		}
		c, err := decode(data)
		if err != nil || !proto.Equal(c.GetSet(), &m) {
			t.Errorf("%x is %v by hand, and %v, %v for the library", data, &m, c, err)
		}
	})
}
