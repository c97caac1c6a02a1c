package store

import (
	"bufio"
	"fmt"
	"io"

	"etcd/store/auth"
	"etcd/store/logtime"
	"etcd/store/mvcc"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// View is the whole state of a store at one moment. It may be used in any
// goroutine while the store goes on.
type View struct {
	index   uint64
	changed uint64
	time    logtime.Time
	members []Member
	removed []uint64
	tree    *tree.View

	version    uint32
	maxMembers uint32
	auth       *auth.State
	keys       *mvcc.View
}

// View returns the state as it is now. It takes constant time; what it shares with
// the store is copied piece by piece when the store changes it.
func (s *Store) View() *View {
	return &View{
		index: s.index, changed: s.changed, time: s.time, members: s.members, removed: s.removed, tree: s.tree.View(),
		version: s.version, maxMembers: s.maxMembers, auth: s.auth, keys: s.keys.View(),
	}
}

// Index returns the index of the last command in the view.
func (v *View) Index() uint64 { return v.index }

// Changed returns the index of the last command in the view that has changed a key, see [Store.Changed].
func (v *View) Changed() uint64 { return v.changed }

// Below returns the nodes below a directory, see [tree.Tree.Below].
func (v *View) Below(path string, limit int) []*tree.Node { return v.tree.Below(path, limit) }

// CountBelow returns how many nodes are below a directory, see [tree.View.CountBelow].
func (v *View) CountBelow(path string) int { return v.tree.CountBelow(path) }

// Get returns the node at a clean path. It fails with KeyNotFound or NotDir.
func (v *View) Get(path string) (*tree.Node, *tree.Failure) { return v.tree.Get(path) }

// Children returns the nodes directly in a directory, page by page, see
// [tree.View.Children].
func (v *View) Children(path, after string, limit int) []*tree.Node {
	return v.tree.Children(path, after, limit)
}

// WriteTo writes a snapshot of the view and returns the number of bytes written. Equal
// states give equal bytes. A checksum of the whole is left to the caller.
func (v *View) WriteTo(w io.Writer) (int64, error) {
	format, history, users := SnapshotFormat(v.version), v.tree.History(), v.auth.Message()
	count := requiredSections // and those of which there is something, so that earlier versions read it as long as they can
	if users != nil {
		count++
	}
	if v.keys.Used() {
		count += 2
	}
	out := messageWriter{w: bufio.NewWriterSize(w, 1<<16)}
	out.write(&storepb.SnapshotHeader{FormatVersion: format, Index: v.index, Time: uint64(v.time), Sections: uint32(count)})
	out.section(clusterSection, 1)
	out.write(&storepb.Cluster{Version: v.version, MaxMembers: v.maxMembers, Removed: v.removed, Quota: v.tree.Quota()})
	out.endSection()
	out.section(membersSection, len(v.members))
	for _, m := range v.members {
		out.write(&storepb.Member{Id: m.ID, Name: m.Name, PeerUrl: m.PeerURL, ClientUrl: m.ClientURL})
	}
	out.endSection()
	out.section(treeSection, 1)
	out.write(&storepb.Tree{HistoryLimit: uint32(v.tree.HistoryLimit()), HistoryCleared: history.Cleared()})
	out.endSection()
	out.section(nodesSection, v.tree.Len())
	v.writeNodes(&out, format)
	out.endSection()
	out.section(eventsSection, history.Len())
	var node, prev storepb.Node
	event := storepb.Event{Node: &node}
	for e := range history.From(0) {
		event.Index, event.Action, event.Prev = e.Index, storepb.Action(e.Action), nil
		encodeNode(&node, e.Node)
		if e.Prev != nil {
			encodeNode(&prev, e.Prev)
			prev.Path = ""
			event.Prev = &prev
		}
		out.write(&event)
		if out.err != nil {
			break
		}
	}
	out.endSection()
	if users != nil {
		out.section(authSection, 1)
		out.write(users)
		out.endSection()
	}
	if v.keys.Used() {
		out.writeKeyspace(v.keys)
	}
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return out.flushed(), fmt.Errorf("store: write snapshot %d: %w", v.index, out.err)
	}
	return out.bytes, nil
}
