package httpfront

import (
	"cmp"
	"errors"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"etcd/store"
	"etcd/store/storepb"
)

func TestCleanPath(t *testing.T) {
	tests := []struct {
		raw, clean string
		slash      bool
		err        error
	}{
		{"/", "/", true, nil},
		{"", "/", true, nil},
		{"/a", "/a", false, nil},
		{"/a/", "/a", true, nil},
		{"a/b", "/a/b", false, nil},
		{"//a///b//", "/a/b", true, nil},
		{"/a/./b/../c", "/a/c", false, nil},
		{"/../../a", "/a", false, nil},
		{"/a/..", "/", false, nil},
		{"/a%2Fb%2f", "/a/b", true, nil},
		{"/a/%2E%2e/b", "/b", false, nil},
		{"/a+b", "/a+b", false, nil},
		{"/a%2Bb", "/a+b", false, nil},
		{"/a%20b", "/a b", false, nil},
		{"/a b", "/a b", false, nil},
		{"/%25", "/%", false, nil},
		{"/%2525", "/%25", false, nil}, // decoded once
		{"/%E4%BD%A0", "/你", false, nil},
		{"/你", "/你", false, nil},
		{"/a%3Fb", "/a?b", false, nil},
		{"/%", "", false, errEscape},
		{"/%2", "", false, errEscape},
		{"/%G0", "", false, errEscape},
		{"/%0G", "", false, errEscape},
		{"/%+1", "", false, errEscape},
		{"/%FF", "/\ufffd", false, errUTF8},
		{"/a\xff\xfe/", "/a\ufffd\ufffd", true, errUTF8},
		{"/%ED%A0%80", "/\ufffd\ufffd\ufffd", false, errUTF8}, // a surrogate
		{"/a%00", "/a\x00", false, errNUL},
		{"/a\x00", "/a\x00", false, errNUL},
	}
	for _, test := range tests {
		clean, err := cleanPath([]byte(test.raw))
		if clean.path != test.clean || clean.slash != test.slash || cmp.Or(err, clean.odd) != test.err {
			t.Errorf("cleanPath(%q) = %+v, %v; want %q, %v, %v", test.raw, clean, err, test.clean, test.slash, test.err)
		}
	}
}

func TestUnder(t *testing.T) {
	tests := []struct {
		clean, key string
		ok         bool
	}{
		{"/v1/keys", "/", true},
		{"/v1/keys/a", "/a", true},
		{"/v1/keys/a/b", "/a/b", true},
		{"/v1/keysa", "", false},
		{"/v1/key", "", false},
		{"/", "", false},
	}
	for _, test := range tests {
		if key, ok := trimRoute(test.clean, "/v1/keys"); key != test.key || ok != test.ok {
			t.Errorf("under(%q) = %q, %v; want %q, %v", test.clean, key, ok, test.key, test.ok)
		}
	}
}

// Every result is a path that the store accepts, and cleaning it again changes nothing.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b", "//a//..%2f.", "/%2e%2E/%00", "/a%", "/%ff", "+/%2B", "/你/", "/%25%32%46", "/...", "/a/%2e/", "%2F%2F",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := cleanPath(raw)
		clean := got.path
		if err != nil {
			if got != (cleanedPath{}) {
				t.Errorf("cleanPath(%q) = %+v with an error", raw, got)
			}
			return
		}
		switch {
		case !strings.HasPrefix(clean, "/"), path.Clean(clean) != clean, strings.IndexByte(clean, 0) >= 0 && got.odd == nil, !utf8.ValidString(clean):
			t.Fatalf("cleanPath(%q) = %+v, which is not clean", raw, got)
		}
		again, err := cleanPath([]byte(strings.ReplaceAll(clean, "%", "%25")))
		if again.path != clean || again.slash != (clean == "/") || err != nil || again.odd != nil && !errors.Is(got.odd, errNUL) && !strings.Contains(clean, "\x00") {
			t.Errorf("cleanPath of the clean %q = %+v, %v", clean, again, err)
		}
		// Encode panics if the path is not one that every machine accepts.
		store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: clean}}})
	})
}
