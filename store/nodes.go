package store

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// The nodes of a snapshot. From format 3 on a path is written as what differs from the path before, so a
// snapshot has about as many bytes as clients have sent, however deep the keys are.

// prefixFormat is the first format with such paths.
const prefixFormat = 3

// writeNodes writes the messages of the nodes section.
func (v *View) writeNodes(out *messageWriter, format uint32) {
	var m storepb.Node
	before := ""
	for n := range v.tree.Nodes() {
		encodeNode(&m, n)
		if format >= prefixFormat {
			shared := sharedPrefix(before, n.Path)
			m.Path, m.SharedPrefix = n.Path[shared:], uint32(shared)
			before = n.Path
		}
		if out.write(&m); out.err != nil {
			break
		}
	}
}

// sharedPrefix returns how many bytes of a path are those of the one before, but no part of a character,
// because what is left has to be valid UTF-8.
func sharedPrefix(before, path string) int {
	shared := tree.SharedPrefix(before, path)
	for !utf8.RuneStart(path[shared]) {
		shared--
	}
	return shared
}

// encodeNode fills in the message, reusing what it has allocated.
func encodeNode(m *storepb.Node, n *tree.Node) {
	m.Path, m.Dir, m.Value = n.Path, n.Dir, append(m.Value[:0], n.Value...)
	m.CreatedIndex, m.ModifiedIndex, m.Deadline = n.Created, n.Modified, uint64(n.Deadline)
}

// nodeReader reads the messages of the nodes section.
type nodeReader struct {
	in     *messageReader
	loader *tree.Loader
	format uint32

	plain storepb.Node // to be used again
	path  []byte       // of the node before
	dir   []byte       // of the directory before
}

func (r *nodeReader) read() error {
	data, err := r.in.next()
	if err != nil {
		return err
	}
	m := &r.plain
	if !decodePlainNode(data, m) {
		m = new(storepb.Node)
		if err := proto.Unmarshal(data, m); err != nil {
			return err
		}
		if unknown(m) {
			return errNewer
		}
	}
	if err := r.advance(m.GetSharedPrefix(), m.GetPath()); err != nil {
		return err
	}
	node := &tree.Node{
		Dir: m.GetDir(), Created: m.GetCreatedIndex(), Modified: m.GetModifiedIndex(), Deadline: logtime.Time(m.GetDeadline()),
	}
	if node.Dir {
		node.Path, node.Value = r.directory(), string(m.GetValue())
	} else {
		name, content := together(r.path, m.GetValue())
		node.Path, node.Value = name, storepb.Owned(content)
	}
	return r.loader.Node(node)
}

// advance goes on to the next path.
func (r *nodeReader) advance(shared uint32, rest string) error {
	switch {
	case shared > 0 && r.format < prefixFormat:
		return errNewer
	case uint64(shared) > uint64(len(r.path)):
		return fmt.Errorf("it shares %d bytes with a path of %d", shared, len(r.path))
	case int(shared) < len(r.path) && !utf8.RuneStart(r.path[shared]):
		return errors.New("it shares a part of a character")
	case shared > 0 && int(shared)+len(rest) > MaxPath: // or a few bytes could stand for any number of them
		return fmt.Errorf("a path of %d bytes exceeds the maximum of %d", int(shared)+len(rest), MaxPath)
	}
	r.path = append(r.path[:shared], rest...)
	return nil
}

// minShared is how long the path of a directory has to be, in bytes, to share memory with those below it.
// Most are shorter, and would only get room that nobody uses.
const minShared = 128

// directory returns the path, which is that of a directory. It shares memory with those on the way to it, as
// when a command has made them: what is behind a path in its memory is for those below. None keeps more than
// twice as much as it needs.
func (r *nodeReader) directory() string {
	switch n := len(r.path); {
	case n < minShared || len(r.dir) == 0 || !bytes.HasPrefix(r.path, r.dir):
		r.dir = bytes.Clone(r.path)
	case n > cap(r.dir):
		r.dir = append(make([]byte, 0, 2*n), r.path...)
	default:
		r.dir = append(r.dir, r.path[len(r.dir):]...)
	}
	return storepb.Owned(r.dir)
}
