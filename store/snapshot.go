package store

import (
	"bufio"
	"fmt"
	"io"

	"github.com/tidwall/btree"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store/storepb"
)

// formatVersion is the version of the snapshot format that is written. It is
// the only one that is read.
const formatVersion = 1

// Snapshot is the whole state of a store at one moment. It may be used in any
// goroutine while the store goes on.
type Snapshot struct {
	index   uint64
	time    Time
	limit   int
	history History
	members []Member
	removed []uint64
	nodes   *btree.BTreeG[*Node]
}

// Snapshot returns the state as it is now. It takes constant time; what it
// shares with the store is copied piece by piece when the store changes it.
func (s *Store) Snapshot() *Snapshot {
	return &Snapshot{
		index:   s.index,
		time:    s.time,
		limit:   s.history.limit,
		history: s.history.History,
		members: s.members,
		removed: s.removed,
		nodes:   s.tree.nodes.Copy(),
	}
}

// Index returns the index of the last command the snapshot contains.
func (sn *Snapshot) Index() uint64 { return sn.index }

// WriteTo writes the snapshot and returns the number of bytes written. Equal
// states give equal bytes. Checksums are left to the caller.
func (sn *Snapshot) WriteTo(w io.Writer) (int64, error) {
	out := messageWriter{w: bufio.NewWriterSize(w, 1<<16)}
	out.write(&storepb.SnapshotHeader{
		FormatVersion:  formatVersion,
		Index:          sn.index,
		HistoryLimit:   uint32(sn.limit),
		HistoryCleared: sn.history.cleared,
		Members:        uint64(len(sn.members)),
		Nodes:          uint64(sn.nodes.Len()),
		Events:         uint64(sn.history.Len()),
		Removed:        sn.removed,
		Time:           uint64(sn.time),
	})
	for _, m := range sn.members {
		out.write(&storepb.Member{Id: m.ID, Name: m.Name, PeerUrl: m.PeerURL, ClientUrl: m.ClientURL})
	}
	var node, prev storepb.Node
	sn.nodes.Scan(func(n *Node) bool {
		encodeNode(&node, n)
		out.write(&node)
		return out.err == nil
	})
	event := storepb.Event{Node: &node}
	for e := range sn.history.From(0) {
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
		return out.flushed(), fmt.Errorf("store: writing snapshot %d: %w", sn.index, out.err)
	}
	return out.bytes, nil
}

// encodeNode fills in the message, using again what it has allocated.
func encodeNode(m *storepb.Node, n *Node) {
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
