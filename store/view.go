package store

import (
	"bufio"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// formatVersion is the version of the snapshot format that is written. It is
// the only one that is read.
const formatVersion = 1

// View is the whole state of a store at one moment. It may be used in any
// goroutine while the store goes on.
type View struct {
	index   uint64
	time    logtime.Time
	members []Member
	removed []uint64
	tree    *tree.View
}

// View returns the state as it is now. It takes constant time; what it shares with
// the store is copied piece by piece when the store changes it.
func (s *Store) View() *View {
	return &View{index: s.index, time: s.time, members: s.members, removed: s.removed, tree: s.tree.View()}
}

// Index returns the index of the last command in the view.
func (v *View) Index() uint64 { return v.index }

// Children returns the nodes directly in a directory, page by page, see
// [tree.View.Children].
func (v *View) Children(path, after string, limit int) []*tree.Node {
	return v.tree.Children(path, after, limit)
}

// WriteTo writes a snapshot of the view and returns the number of bytes written. Equal
// states give equal bytes. Checksums are left to the caller.
func (v *View) WriteTo(w io.Writer) (int64, error) {
	history := v.tree.History()
	out := messageWriter{w: bufio.NewWriterSize(w, 1<<16)}
	out.write(&storepb.SnapshotHeader{
		FormatVersion:  formatVersion,
		Index:          v.index,
		HistoryLimit:   uint32(v.tree.HistoryLimit()),
		HistoryCleared: history.Cleared(),
		Members:        uint64(len(v.members)),
		Nodes:          uint64(v.tree.Len()),
		Events:         uint64(history.Len()),
		Removed:        v.removed,
		Time:           uint64(v.time),
	})
	for _, m := range v.members {
		out.write(&storepb.Member{Id: m.ID, Name: m.Name, PeerUrl: m.PeerURL, ClientUrl: m.ClientURL})
	}
	var node, prev storepb.Node
	for n := range v.tree.Nodes() {
		encodeNode(&node, n)
		out.write(&node)
		if out.err != nil {
			break
		}
	}
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
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return out.flushed(), fmt.Errorf("store: writing snapshot %d: %w", v.index, out.err)
	}
	return out.bytes, nil
}

// encodeNode fills in the message, using again what it has allocated.
func encodeNode(m *storepb.Node, n *tree.Node) {
	m.Path, m.Dir, m.Value = n.Path, n.Dir, append(m.Value[:0], n.Value...)
	m.CreatedIndex, m.ModifiedIndex, m.Deadline = n.Created, n.Modified, uint64(n.Deadline)
}

// messageWriter writes messages with their lengths, until the first error.
type messageWriter struct {
	w     *bufio.Writer
	buf   []byte
	bytes int64
	err   error
}

func (m *messageWriter) write(message proto.Message) {
	if m.err != nil {
		return
	}
	m.buf = protowire.AppendVarint(m.buf[:0], uint64(encoding.Size(message)))
	m.buf, m.err = encoding.MarshalAppend(m.buf, message)
	if m.err != nil {
		return
	}
	var n int
	n, m.err = m.w.Write(m.buf)
	m.bytes += int64(n)
}

// flushed returns the number of bytes that left the buffer.
func (m *messageWriter) flushed() int64 { return m.bytes - int64(m.w.Buffered()) }
