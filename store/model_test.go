package store_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"etcd/store/storepb"
)

// model is the store as simple as it can be: directories are maps, everything
// else is found by a scan of all nodes. It shares nothing with the store but
// the messages, and reports in the format of show and listing.
type model struct {
	index   uint64
	time    uint64 // of the last command
	root    *modelNode
	limit   int
	cleared uint64
	events  []modelEvent
	members map[uint64]*storepb.Member
	removed map[uint64]bool
	quota   int
	hung    string // the path that was written last
}

type modelNode struct {
	value             string
	created, modified uint64
	deadline          uint64
	children          map[string]*modelNode // nil for a file
}

type modelEvent struct {
	index uint64
	text  string
}

func newModel() *model {
	return &model{
		root:    &modelNode{children: map[string]*modelNode{}},
		limit:   100_000,
		members: map[uint64]*storepb.Member{},
		removed: map[uint64]bool{},
	}
}

func (n *modelNode) text(path string) string {
	kind := fmt.Sprintf("=%q", n.value)
	if n.children != nil {
		kind = "/"
	}
	text := fmt.Sprintf("%s%s %d/%d", path, kind, n.created, n.modified)
	if n.deadline != 0 {
		text += fmt.Sprintf(" @%d", n.deadline)
	}
	return text
}

func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// walk descends to path and returns the node, or why it cannot.
func (m *model) walk(path string) (*modelNode, string) {
	node, here := m.root, ""
	for _, name := range names(path) {
		if node.children == nil {
			return nil, fmt.Sprintf("104 %s because of %s", here, node.text(here))
		}
		here += "/" + name
		if node = node.children[name]; node == nil {
			return nil, "100 " + here
		}
	}
	return node, ""
}

// hang puts node at path, in place of the one there, and makes the directories
// on the way. It returns why it cannot.
func (m *model) hang(path string, node *modelNode) string {
	m.hung = path
	at, here := m.root, ""
	parts := names(path)
	for i, name := range parts {
		if at.children == nil {
			return fmt.Sprintf("104 %s because of %s", here, at.text(here))
		}
		here += "/" + name
		if i == len(parts)-1 {
			at.children[name] = node
			break
		}
		if at.children[name] == nil {
			at.children[name] = &modelNode{created: m.index, modified: m.index, children: map[string]*modelNode{}}
		}
		at = at.children[name]
	}
	return ""
}

func (m *model) cut(path string) {
	parts := names(path)
	parent, _ := m.walk("/" + strings.Join(parts[:len(parts)-1], "/"))
	delete(parent.children, parts[len(parts)-1])
}

func (m *model) publish(text string) string {
	m.events = append(m.events, modelEvent{m.index, text})
	m.drop()
	return text
}

func (m *model) drop() {
	for len(m.events) > m.limit {
		m.cleared = m.events[0].index
		m.events = m.events[1:]
	}
}

func (m *model) apply(index, now uint64, c *storepb.Command) string {
	m.index, m.time = index, max(m.time, now)
	now = m.time
	switch kind := c.GetKind().(type) {
	case *storepb.Command_Set:
		return m.withinQuota(func() string { return m.set(kind.Set, now) })
	case *storepb.Command_Create:
		return m.withinQuota(func() string { return m.create(kind.Create, now) })
	case *storepb.Command_SetQuota:
		m.quota = int(kind.SetQuota.GetBytes())
	case *storepb.Command_Delete:
		return m.delete(kind.Delete)
	case *storepb.Command_Expire:
		return m.expire(kind.Expire, now)
	case *storepb.Command_Bootstrap:
		m.limit = int(kind.Bootstrap.GetHistoryLimit())
		m.drop()
		return m.setMember(kind.Bootstrap.GetMember())
	case *storepb.Command_SetMember:
		return m.setMember(kind.SetMember.GetMember())
	case *storepb.Command_RemoveMember:
		return m.removeMember(kind.RemoveMember.GetId())
	case *storepb.Command_Configure:
		m.limit = int(kind.Configure.GetHistoryLimit())
		m.drop()
	}
	return "nothing"
}

// withinQuota undoes a change if there are more bytes after it than before, and than the quota.
func (m *model) withinQuota(change func() string) string {
	before := *m
	before.root, before.events = m.root.clone(), slices.Clone(m.events)
	did := change()
	if size := m.root.size(""); m.quota > 0 && size > m.quota && size > before.root.size("") {
		path := m.hung
		*m = before
		return "507 " + path
	}
	return did
}

func (n *modelNode) clone() *modelNode {
	c := *n
	c.children = maps.Clone(n.children)
	for name, child := range c.children {
		c.children[name] = child.clone()
	}
	return &c
}

// size returns how many bytes count of the nodes below one.
func (n *modelNode) size(path string) (size int) {
	for name, child := range n.children {
		below := path + "/" + name
		size += 128 + len(below) + len(child.value) + child.size(below)
	}
	return size
}

func (m *model) fresh(dir bool, value []byte, ttl *int64, now uint64) *modelNode {
	node := &modelNode{value: string(value), created: m.index, modified: m.index, deadline: modelDeadline(ttl, now)}
	if dir {
		node.value, node.children = "", map[string]*modelNode{}
	}
	return node
}

func modelDeadline(ttl *int64, now uint64) uint64 {
	if ttl == nil {
		return 0
	}
	if now > math.MaxUint64-uint64(*ttl) {
		return math.MaxUint64
	}
	if now+uint64(*ttl) == 0 {
		return 1
	}
	return now + uint64(*ttl)
}

func (m *model) set(c *storepb.Set, now uint64) string {
	path, cond := c.GetPath(), c.GetCondition()
	if cond == nil {
		cond = &storepb.Condition{}
	}
	if path == "/" {
		return "107 /"
	}
	m.hung = path
	old, why := m.walk(path)
	node := m.fresh(c.GetDir(), c.GetValue(), c.TtlNs, now)

	if cond.Exist != nil && !*cond.Exist {
		if old != nil {
			return fmt.Sprintf("105 %s because of %s", path, old.text(path))
		}
		if why := m.hang(path, node); why != "" {
			return why
		}
		return m.publish("create " + node.text(path))
	}

	compare := cond.Value != nil || cond.Index != 0
	plain := cond.Exist == nil && !compare
	if plain && old == nil && !c.GetRefresh() {
		if why := m.hang(path, node); why != "" {
			return why
		}
		return m.publish("set " + node.text(path))
	}
	if old == nil {
		return why
	}
	before := old.text(path)
	inTheWay := fmt.Sprintf("102 %s because of %s", path, before)
	say := m.publish
	if c.GetRefresh() {
		say = func(text string) string { return "quietly " + text }
	}
	switch {
	case plain:
		if old.children != nil {
			return inTheWay
		}
		if c.GetRefresh() && node.children == nil {
			node.value = old.value
		}
		m.hang(path, node)
		return say(fmt.Sprintf("set %s was %s", node.text(path), before))
	case compare:
		if old.children != nil {
			return inTheWay
		}
		if cond.Value != nil && string(cond.Value) != old.value || cond.Index != 0 && cond.Index != old.modified {
			return fmt.Sprintf("101 %s because of %s", path, before)
		}
		m.write(old, c, now)
		return say(fmt.Sprintf("compareAndSwap %s was %s", old.text(path), before))
	case old.children != nil:
		if len(c.GetValue()) > 0 && !c.GetRefresh() {
			return inTheWay
		}
		old.deadline = modelDeadline(c.TtlNs, now)
		seen := *old
		seen.modified = m.index
		return say(fmt.Sprintf("update %s was %s", seen.text(path), before))
	case c.GetDir():
		return fmt.Sprintf("104 %s because of %s", path, before)
	default:
		m.write(old, c, now)
		return say(fmt.Sprintf("update %s was %s", old.text(path), before))
	}
}

func (m *model) write(file *modelNode, c *storepb.Set, now uint64) {
	if !c.GetRefresh() {
		file.value = string(c.GetValue())
	}
	file.modified = m.index
	file.deadline = modelDeadline(c.TtlNs, now)
}

func (m *model) create(c *storepb.Create, now uint64) string {
	var path string
	for number, taken := m.index, true; taken; number++ {
		path = strings.TrimSuffix(c.GetPath(), "/") + "/" + fmt.Sprintf("%020d", number)
		old, _ := m.walk(path)
		taken = old != nil
	}
	node := m.fresh(c.GetDir(), c.GetValue(), c.TtlNs, now)
	if why := m.hang(path, node); why != "" {
		return why
	}
	return m.publish("create " + node.text(path))
}

func (m *model) delete(c *storepb.Delete) string {
	path, cond := c.GetPath(), c.GetCondition()
	if cond == nil {
		cond = &storepb.Condition{}
	}
	absent := cond.Exist != nil && !*cond.Exist
	compare := !absent && (cond.Value != nil || cond.Index != 0)
	if path == "/" {
		if compare {
			return "102 / because of // 0/0"
		}
		return "107 /"
	}
	old, why := m.walk(path)
	if old == nil {
		return why
	}
	if absent {
		return fmt.Sprintf("105 %s because of %s", path, old.text(path))
	}
	if compare {
		if old.children != nil {
			return fmt.Sprintf("102 %s because of %s", path, old.text(path))
		}
		if cond.Value != nil && string(cond.Value) != old.value || cond.Index != 0 && cond.Index != old.modified {
			return fmt.Sprintf("101 %s because of %s", path, old.text(path))
		}
		return m.remove("compareAndDelete", path, old)
	}
	if old.children != nil && !c.GetRecursive() {
		if !c.GetDir() {
			return fmt.Sprintf("102 %s because of %s", path, old.text(path))
		}
		if len(old.children) > 0 {
			return fmt.Sprintf("108 %s because of %s", path, old.text(path))
		}
	}
	return m.remove("delete", path, old)
}

func (m *model) remove(action, path string, old *modelNode) string {
	m.cut(path)
	gone := &modelNode{created: old.created, modified: m.index, children: old.children}
	return m.publish(fmt.Sprintf("%s %s was %s", action, gone.text(path), old.text(path)))
}

func (m *model) expire(c *storepb.Expire, now uint64) string {
	node, _ := m.walk(c.GetPath())
	if node == nil || node == m.root || node.modified != c.GetModifiedIndex() || node.deadline != c.GetDeadline() || now < node.deadline {
		return "nothing"
	}
	return m.remove("expire", c.GetPath(), node)
}

func (m *model) setMember(c *storepb.Member) string {
	if m.removed[c.GetId()] {
		return "nothing"
	}
	former := m.members[c.GetId()]
	m.members[c.GetId()] = c
	if path := m.orphanedFile(former); path != "" {
		m.cut(path)
	}
	path := "/_etcd/machines/" + c.GetName()
	node := m.fresh(false, []byte("raft="+c.GetPeerUrl()+"&etcd="+c.GetClientUrl()), nil, 0)
	was := ""
	if old, _ := m.walk(path); old != nil {
		if old.children != nil {
			return "nothing"
		}
		was = " was " + old.text(path)
	}
	if why := m.hang(path, node); why != "" {
		return "nothing"
	}
	return m.publish("set " + node.text(path) + was)
}

func (m *model) removeMember(id uint64) string {
	former := m.members[id]
	if former != nil {
		m.removed[id] = true
	}
	delete(m.members, id)
	path := m.orphanedFile(former)
	if path == "" {
		return "nothing"
	}
	file, _ := m.walk(path)
	return m.remove("delete", path, file)
}

// orphanedFile returns the path of the file of a former member, "" if there is
// none.
func (m *model) orphanedFile(former *storepb.Member) string {
	if former == nil {
		return ""
	}
	for _, other := range m.members {
		if other.GetName() == former.GetName() {
			return ""
		}
	}
	path := "/_etcd/machines/" + former.GetName()
	if file, _ := m.walk(path); file == nil || file.children != nil {
		return ""
	}
	return path
}

// paths returns all paths but the root, every directory before its children,
// which are sorted by name.
func (m *model) paths() []string {
	var paths []string
	var walk func(path string, node *modelNode)
	walk = func(path string, node *modelNode) {
		for _, name := range slices.Sorted(maps.Keys(node.children)) {
			paths = append(paths, path+"/"+name)
			walk(path+"/"+name, node.children[name])
		}
	}
	walk("", m.root)
	return paths
}

func (m *model) listing() string {
	var lines []string
	for _, path := range m.paths() {
		node, _ := m.walk(path)
		lines = append(lines, node.text(path))
	}
	return strings.Join(lines, "\n")
}

func (m *model) nextDeadline() uint64 {
	var next uint64
	for _, path := range m.paths() {
		if node, _ := m.walk(path); node.deadline != 0 && (next == 0 || node.deadline < next) {
			next = node.deadline
		}
	}
	return next
}

func (m *model) eventsFrom(index uint64) string {
	var lines []string
	for _, e := range m.events {
		if e.index >= index {
			lines = append(lines, e.text)
		}
	}
	return strings.Join(lines, "\n")
}

func (m *model) memberList() string {
	text := ""
	for _, id := range slices.Sorted(maps.Keys(m.members)) {
		c := m.members[id]
		text += fmt.Sprintf("%d %s %s %s\n", id, c.GetName(), c.GetPeerUrl(), c.GetClientUrl())
	}
	return text
}
