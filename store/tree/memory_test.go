package tree_test

import (
	"testing"
	"unsafe"

	"etcd/store/storepb"
	"etcd/store/tree"
)

// A decoded command has its path and its value in one piece of memory. What outlives the value must
// not keep it.
func TestPathsDoNotKeepValues(t *testing.T) {
	tr := tree.New()
	set := func(index uint64, path string) *storepb.Set {
		m := &storepb.Set{Path: path, Value: []byte("a value")}
		tr.Set(index, 0, m)
		return m
	}
	first := set(1, "/dir/file")
	second := set(2, "/dir/file")
	dir, _ := tr.Get("/dir")
	if unsafe.StringData(dir.Path) == unsafe.StringData(first.Path) {
		t.Error("the directory keeps what its first file was written with")
	}
	file, _ := tr.Get("/dir/file")
	if unsafe.StringData(file.Path) != unsafe.StringData(second.Path) {
		t.Error("the file keeps what it was written with first")
	}
}
