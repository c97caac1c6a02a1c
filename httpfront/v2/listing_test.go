package v2

import (
	"fmt"
	"strings"
	"testing"

	"etcd/httpfront/fronttest"
	"etcd/store/tree"
)

// Over -max-listing a listing is refused before anything is sent; with everything below it counts all of that.
func TestListingIsTooLong(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	most := fronttest.Config().MaxListing
	for i := range most/2 + 1 {
		c.Do("PUT", fmt.Sprintf("/v2/keys/d/%04d/below", i), "value=1")
	}
	if r := c.Get("/v2/keys/d"); r.Status != 200 {
		t.Errorf("the children: %d %.200s", r.Status, r.Body)
	}
	const want = `{"errorCode":413,"message":"Request Entity Too Large","cause":"the directory has more than 1000 keys; list the directories in it instead. The limit is set by -max-listing","index":`
	if r := c.Get("/v2/keys/d?recursive=true"); r.Status != 413 || !strings.HasPrefix(r.Body, want) {
		t.Errorf("everything below: %d %.300s", r.Status, r.Body)
	}
}

// A listing is the same however it is divided into pieces, each of which knows nothing of those before it.
func TestListingInPieces(t *testing.T) {
	dir := func(path string) *tree.Node { return &tree.Node{Path: path, Dir: true, Created: 3, Modified: 3} }
	file := func(path string) *tree.Node { return &tree.Node{Path: path, Value: "1", Created: 3, Modified: 3} }
	root := &tree.Node{Path: "/", Dir: true}
	for name, test := range map[string]struct {
		dir   *tree.Node
		below []*tree.Node
		want  string
	}{
		"root":               {root, nil, `{"action":"get","node":{"dir":true}}` + "\n"},
		"root, all hidden":   {root, []*tree.Node{file("/_a"), file("/_b")}, `{"action":"get","node":{"dir":true}}` + "\n"},
		"root, a directory":  {root, []*tree.Node{dir("/a")}, `{"action":"get","node":{"dir":true,"nodes":[{"key":"/a","dir":true,"modifiedIndex":3,"createdIndex":3}]}}` + "\n"},
		"root, two files":    {root, []*tree.Node{file("/a"), file("/b")}, `{"action":"get","node":{"dir":true,"nodes":[{"key":"/a","value":"1","modifiedIndex":3,"createdIndex":3},{"key":"/b","value":"1","modifiedIndex":3,"createdIndex":3}]}}` + "\n"},
		"one in a directory": {dir("/d"), []*tree.Node{dir("/d/e"), file("/d/e/f")}, `{"action":"get","node":{"key":"/d","dir":true,"nodes":[{"key":"/d/e","dir":true,"nodes":[{"key":"/d/e/f","value":"1","modifiedIndex":3,"createdIndex":3}],"modifiedIndex":3,"createdIndex":3}],"modifiedIndex":3,"createdIndex":3}}` + "\n"},
	} {
		r := renderTree(test.dir, true, listed(test.dir, test.below), 0)
		got := ""
		for more := true; more; {
			var piece []byte
			piece, more = r.next(nil, nil)
			got += string(piece)
		}
		if got != test.want {
			t.Errorf("%s: %swant %s", name, got, test.want)
		}
	}
}
