package tree_test

import (
	"strings"
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

// The directories above a key take memory for its length, not for that of each of their paths. But none
// keeps much more than it needs, because the others may be removed.
func TestNestedDirectoriesShareMemory(t *testing.T) {
	tr := tree.New()
	path := strings.Repeat("/abc", 2000)
	tr.Set(1, 0, &storepb.Set{Path: path, Value: []byte("v")})
	checkShared(t, tr, tree.Parent(path))
}

// checkShared checks the memory of the paths of a directory and of those that it is in.
func checkShared(t *testing.T, tr *tree.Tree, deepest string) {
	t.Helper()
	ends := make(map[*byte]int) // of the longest path in each piece of memory
	for path := deepest; path != "/"; path = tree.Parent(path) {
		dir, f := tr.Get(path)
		if f != nil {
			t.Fatal(f)
		}
		if dir.Path != path {
			t.Fatalf("%.100q is there for %.100q", dir.Path, path)
		}
		start := unsafe.StringData(dir.Path)
		ends[start] = max(ends[start], len(path))
		if ends[start] > 2*len(path) {
			t.Errorf("a path of %d bytes keeps %d", len(path), ends[start])
		}
	}
	sum := 0
	for _, end := range ends {
		sum += end
	}
	if sum > 3*len(deepest) {
		t.Errorf("the directories down to a path of %d bytes have %d bytes", len(deepest), sum)
	}
}
