package v2

import (
	"strings"

	"github.com/valyala/fasthttp"

	"etcd/httpfront"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/tree"
)

// lister returns the next children of a directory after one of them, "" for the first; none: there are
// no more.
type lister func(dir, after string) []*tree.Node

// viewLister lists from a view of the state.
func viewLister(view *store.View) lister {
	const page = 16
	return func(dir, after string) []*tree.Node { return view.Children(dir, after, page) }
}

// listed lists nodes that are all those below a directory, or its children, in the order of their paths.
func listed(dir *tree.Node, nodes []*tree.Node) lister {
	children := make(map[string][]*tree.Node)
	for _, n := range nodes {
		parent := tree.Parent(n.Path)
		children[parent] = append(children[parent], n)
	}
	return func(dir, after string) []*tree.Node {
		if after != "" {
			return nil
		}
		return children[dir]
	}
}

// treeRenderer renders a directory with what is in it, a node with each step. Hidden nodes are left
// out, and those whose time is over.
type treeRenderer struct {
	deep  bool
	list  lister
	now   logtime.Time
	dirs  []openDir // from the outermost
	begun bool
}

// openDir is a directory that is being rendered.
type openDir struct {
	node     *tree.Node
	children []*tree.Node // those that come next
	last     string       // path of the last one that was listed
	some     bool         // it has shown any
}

func renderTree(dir *tree.Node, deep bool, list lister, now logtime.Time) *treeRenderer {
	return &treeRenderer{deep: deep, list: list, now: now, dirs: []openDir{{node: dir}}}
}

// next appends the next part, and reports whether there are more.
func (r *treeRenderer) next(to []byte, gaps *httpfront.Gaps) (_ []byte, more bool) {
	if !r.begun {
		r.begun = true
		return appendNodeStart(append(to, `{"action":"get","node":`...), gaps, r.dirs[0].node, false, r.now), true
	}
	d := &r.dirs[len(r.dirs)-1]
	child := r.nextChild(d)
	if child == nil {
		if d.some {
			to = append(to, ']')
		}
		if d.some && d.node.Path != "/" {
			to = append(to, ',')
		}
		to = appendNodeEnd(to, d.node)
		r.dirs = r.dirs[:len(r.dirs)-1]
		if len(r.dirs) > 0 {
			return to, true
		}
		return append(to, "}\n"...), false
	}
	if d.some || d.node.Path == "/" {
		to = append(to, ',')
	}
	if !d.some {
		to = append(to, `"nodes":[`...)
		d.some = true
	}
	to = appendNodeStart(to, gaps, child, false, r.now)
	if r.deep && child.Dir {
		r.dirs = append(r.dirs, openDir{node: child})
		return to, true
	}
	return appendNodeEnd(to, child), true
}

// nextChild returns the next child of a directory that is shown, nil if there is none.
func (r *treeRenderer) nextChild(d *openDir) *tree.Node {
	for {
		if len(d.children) == 0 {
			if d.children = r.list(d.node.Path, d.last); len(d.children) == 0 {
				return nil
			}
		}
		child := d.children[0]
		d.children, d.last = d.children[1:], child.Path
		if !isHidden(child) && !isOver(child, r.now) && !store.Reserved(child.Path) {
			return child
		}
	}
}

// isHidden reports whether a node is left out of listings.
func isHidden(n *tree.Node) bool {
	return strings.HasPrefix(n.Path[strings.LastIndexByte(n.Path, '/')+1:], "_")
}

// treeAnswer is the answer about a directory.
type treeAnswer struct {
	head  head
	dir   *tree.Node
	deep  bool
	nodes []*tree.Node // below it
	shown logtime.Time
}

// Write implements [httpfront.Answer].
func (a *treeAnswer) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(httpfront.TypeJSON)
	a.head.SetHeaders(&resp.Header)
	var values []string
	total := 0
	for _, n := range a.nodes {
		values = append(values, n.Value)
		total += size(n)
	}
	if total > httpfront.MaxWhole {
		httpfront.WriteParts(resp, a.render, values)
		return
	}
	var body []byte
	next := a.render()
	for more := true; more; {
		body, more = next(body, nil)
	}
	resp.SetBodyRaw(body)
}

func (a *treeAnswer) render() httpfront.Render {
	return renderTree(a.dir, a.deep, listed(a.dir, a.nodes), a.shown).next
}
