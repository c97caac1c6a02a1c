package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/proto"

	"etcd/store/storepb"
)

// Restore reads what Snapshot.WriteTo wrote and returns a store that goes on
// from there exactly as the one the snapshot was taken of. It reads r to its
// end. It returns an error for every stream that is not a whole snapshot of a
// version and a shape this package knows; it wraps ErrNewer if that is why.
func Restore(r io.Reader) (*Store, error) {
	in := messageReader{r: bufio.NewReaderSize(r, 1<<16)}
	s := New()
	if err := s.restore(&in); err != nil {
		return nil, fmt.Errorf("store: reading a snapshot: %w", err)
	}
	return s, nil
}

func (s *Store) restore(in *messageReader) error {
	header := new(storepb.SnapshotHeader)
	if err := in.read(header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if version := header.GetFormatVersion(); version != formatVersion {
		return fmt.Errorf("%w: it has format version %d, this program reads version %d", ErrNewer, version, formatVersion)
	}
	s.index, s.time = header.GetIndex(), Time(header.GetTime())
	s.history.limit = int(header.GetHistoryLimit())
	s.history.cleared = header.GetHistoryCleared()
	if s.history.cleared > s.index {
		return errors.New("header: the history is ahead of the index")
	}
	s.removed = header.GetRemoved()
	for i, id := range s.removed {
		if id == 0 || i > 0 && id <= s.removed[i-1] {
			return errors.New("header: the removed members are out of order")
		}
	}
	for i := range header.GetMembers() {
		if err := s.restoreMember(in); err != nil {
			return fmt.Errorf("member %d: %w", i, err)
		}
	}
	last := ""
	for i := range header.GetNodes() {
		node, err := s.restoreNode(in, last)
		if err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
		last = node.Path
	}
	for i := range header.GetEvents() {
		if err := s.restoreEvent(in); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return in.end()
}

func (s *Store) restoreMember(in *messageReader) error {
	m := new(storepb.Member)
	if err := in.read(m); err != nil {
		return err
	}
	if err := checkMember(m, m); err != nil {
		return err
	}
	if n := len(s.members); n > 0 && s.members[n-1].ID >= m.GetId() {
		return errors.New("out of order")
	}
	s.members = append(s.members, memberOf(m))
	return nil
}

// restoreNode reads the node that comes after the one at path last.
func (s *Store) restoreNode(in *messageReader, last string) (*Node, error) {
	m := new(storepb.Node)
	if err := in.read(m); err != nil {
		return nil, err
	}
	node, err := s.decodeNode(m)
	if err != nil {
		return nil, err
	}
	if node.Path <= last {
		return nil, fmt.Errorf("%.100q is out of order", node.Path)
	}
	// A directory sorts before everything in it, so it is there already.
	if dir := s.tree.find(parent(node.Path)); dir == nil || !dir.Dir {
		return nil, fmt.Errorf("%.100q is in no directory", node.Path)
	}
	s.tree.nodes.Load(node)
	if node.Deadline != 0 {
		s.tree.expiry.Set(node)
	}
	return node, nil
}

func (s *Store) restoreEvent(in *messageReader) error {
	m := new(storepb.Event)
	if err := in.read(m); err != nil {
		return err
	}
	event := Event{Index: m.GetIndex(), Action: Action(m.GetAction())}
	if m.GetAction() < 0 || m.GetAction() > math.MaxUint8 || !event.Action.valid() {
		return fmt.Errorf("action %d is not known", m.GetAction())
	}
	if event.Index > s.index || event.Index <= max(s.history.cleared, s.history.Last()) {
		return fmt.Errorf("index %d is out of order", event.Index)
	}
	var err error
	if event.Node, err = s.decodeNode(m.GetNode()); err != nil {
		return err
	}
	if event.Node.Modified != event.Index {
		return fmt.Errorf("index %d has a node of index %d", event.Index, event.Node.Modified)
	}
	if current := s.tree.find(event.Node.Path); current != nil && *current == *event.Node {
		event.Node = current
	}
	if m.Prev != nil {
		m.Prev.Path = event.Node.Path
		if event.Prev, err = s.decodeNode(m.Prev); err != nil {
			return err
		}
	}
	cleared := s.history.cleared
	s.history.record(event)
	if s.history.cleared != cleared {
		return errors.New("the history is over its limits")
	}
	return nil
}

func (s *Store) decodeNode(m *storepb.Node) (*Node, error) {
	if m == nil {
		return nil, errors.New("no node")
	}
	if unknown(m) {
		return nil, errNewer
	}
	node := &Node{
		Path:     m.GetPath(),
		Dir:      m.GetDir(),
		Value:    owned(m.GetValue()),
		Created:  m.GetCreatedIndex(),
		Modified: m.GetModifiedIndex(),
		Deadline: Time(m.GetDeadline()),
	}
	if !wellFormed(node.Path) || node.Path == "/" {
		return nil, fmt.Errorf("path %.100q is not that of a node", node.Path)
	}
	if node.Dir && node.Value != "" {
		return nil, fmt.Errorf("directory %.100q has a value", node.Path)
	}
	if node.Created > node.Modified || node.Modified > s.index {
		return nil, fmt.Errorf("%.100q has indexes from the future", node.Path)
	}
	return node, nil
}

// maxMessage bounds a message of a snapshot. It is far above what a request
// can carry.
const maxMessage = 1 << 30

// messageReader reads messages with their lengths.
type messageReader struct {
	r   *bufio.Reader
	buf bytes.Buffer
}

// read fills in the message. The end of the stream is an error.
func (m *messageReader) read(message proto.Message) error {
	size, err := binary.ReadUvarint(m.r)
	if err != nil {
		return whole(err)
	}
	if size > maxMessage {
		return fmt.Errorf("a message of %d bytes is too large", size)
	}
	// The buffer grows with what is there, not with what the length claims.
	m.buf.Reset()
	if _, err := io.CopyN(&m.buf, m.r, int64(size)); err != nil {
		return whole(err)
	}
	if err := proto.Unmarshal(m.buf.Bytes(), message); err != nil {
		return err
	}
	return checkUnknown(message)
}

// end returns an error unless everything has been read.
func (m *messageReader) end() error {
	switch _, err := m.r.ReadByte(); {
	case err == nil:
		return errors.New("something follows it")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// whole turns the end of the stream into the error it is within a snapshot.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
